/* SPDX-License-Identifier: MIT */
/*
 * The names of a directory in the order of path bytes, in bounded memory.
 *
 * A directory counts as its name followed by '/': then the order of the names is the order of the
 * whole paths below them. What does not fit into the bound is left for later: names_read() keeps the
 * smallest names beyond a given one and says that there are more. A directory of n names of which k
 * fit is read n / k times, and never needs more memory or a temporary file.
 */
#ifndef TREEHASH_NAMES_H
#define TREEHASH_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct name {
	uint8_t length; /* no file system has more than 255 */
	uint8_t type;   /* DT_REG, DT_DIR, ... never DT_UNKNOWN; what a followed link leads to */
	uint8_t link;   /* 1: reached by a symbolic link that is followed */
	uint8_t error;  /* errno of a link that leads nowhere; all of them fit */
	char text[];    /* with a final 0 */
} name;

/* Names in order. One block of memory. */
typedef struct names {
	size_t bytes; /* of this block */
	uint32_t count;
	bool more;     /* there are names beyond the last one */
	uint32_t at[]; /* where each name starts, from the block's start */
} names;

static inline const name *names_at(const names *n, uint32_t i)
{
	return (const name *)(const void *)((const char *)n + n->at[i]);
}

/* Working memory for names_read, used again and again. */
typedef struct names_reader names_reader;
names_reader *names_reader_new(size_t bytes_most);
void names_reader_delete(names_reader *reader);

/*
 * Reads the open directory fd from its start and keeps the smallest names behind `after` (NULL: all
 * of them) that fit into about bytes_most. *result is freed with names_free(). follow: say what
 * symbolic links lead to. 0, or a negative errno of the read, or -ENOMEM.
 */
int names_read(names_reader *reader, int fd, const name *after, size_t bytes_most, bool follow,
	names **result);

void names_free(names *n); /* NULL is fine */

/* The order of the names: negative, 0, positive. */
int names_compare(const name *a, const name *b);

#endif
