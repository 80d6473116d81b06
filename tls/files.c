/* SPDX-License-Identifier: ISC */
/*
 * files.c - reads the files that the settings name for TLS, and says in words
 * what is wrong with one.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "tls.h"

int
tls_complain(char *err, size_t size, const char *setting, const char *what,
    const char *why)
{
	snprintf(err, size, "%s: %s: %s", setting, what, why);
	return -1;
}

int
tls_file(const char *setting, const char *path, gnutls_datum_t *data,
    char *err, size_t size)
{
	errno = 0;
	if (gnutls_load_file(path, data) == 0)
		return 0;
	return tls_complain(err, size, setting, path,
	    strerror(errno != 0 ? errno : EIO));
}

void
tls_wipe(gnutls_datum_t *data)
{
	explicit_bzero(data->data, data->size);
	gnutls_free(data->data);
	data->data = NULL;
}

int
tls_chain(const char *path, gnutls_x509_crt_t *chain, unsigned *count,
    char *err, size_t size)
{
	gnutls_datum_t data;
	int rc;

	if (tls_file("tls-cert", path, &data, err, size) == -1)
		return -1;
	rc = gnutls_x509_crt_list_import(chain, count, &data,
	    GNUTLS_X509_FMT_PEM, GNUTLS_X509_CRT_LIST_IMPORT_FAIL_IF_EXCEED |
	    GNUTLS_X509_CRT_LIST_SORT);
	gnutls_free(data.data);
	if (rc > 0) {
		*count = (unsigned)rc;
		return 0;
	}
	return tls_complain(err, size, "tls-cert", path, rc < 0 ?
	    gnutls_strerror(rc) : "no certificate in it");
}

void
tls_chain_free(gnutls_x509_crt_t *chain, unsigned count)
{
	while (count > 0)
		gnutls_x509_crt_deinit(chain[--count]);
}
