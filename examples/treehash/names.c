/* SPDX-License-Identifier: MIT */
/*
 * Reading: records fill the working memory from its start, their offsets are listed from its end.
 * When the two meet, the records are sorted, the larger half is thrown away, and the smallest name
 * thrown away becomes the bound: names from there on are not taken in any more. Each such round
 * costs a sort of what fits; the expected number of rounds for names in random order is the
 * logarithm of how many times the directory exceeds the memory, because fewer and fewer names pass
 * the bound.
 *
 * Sorting: multikey quicksort (Bentley and Sedgewick, "Fast algorithms for sorting and searching
 * strings", 1997): common beginnings are compared once, nothing is allocated, and the recursion goes
 * into the two smaller of the three parts only, so it is at most log2(n) deep.
 */
#include "names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <moirai/core/alloc.h>
#include <moirai/core/os.h>

#define DENTS_BYTES ((size_t)64 << 10)

struct names_reader {
	size_t size;  /* of memory */
	size_t limit; /* of memory for this reading */
	size_t used;  /* by records, from the start */
	uint32_t count;
	bool bounded; /* only names below the record at `bound` are taken */
	char *dents;
	char *bound; /* a copy: the record itself is overwritten */
	char *memory;
};

#define NAME_BYTES_MOST (sizeof(name) + 256 + 8)

/* Large blocks are mappings, so that they go back to the system when they are freed: an allocator
 * keeps them, once for every thread that the walk has been on. */
#define BLOCK_MAPPED ((size_t)64 << 10)

static size_t block_pages(size_t bytes)
{
	size_t page = moirai_os_page_size();
	return (bytes + page - 1) & ~(page - 1);
}

static void *block_new(size_t bytes)
{
	void *block;
	if (bytes < BLOCK_MAPPED)
		return moirai_alloc(bytes);
	int status = moirai_os_map(
		&block, block_pages(bytes), moirai_os_page_size(), MOIRAI_OS_MAP_NOHUGE);
	return status < 0 ? NULL : block;
}

static void block_delete(void *block, size_t bytes)
{
	if (block && bytes >= BLOCK_MAPPED)
		(void)moirai_os_unmap(block, block_pages(bytes));
	else
		moirai_free(block);
}

void names_free(names *n)
{
	if (n)
		block_delete(n, n->bytes);
}

names_reader *names_reader_new(size_t bytes_most)
{
	names_reader *reader = moirai_alloc_zeroed(1, sizeof(*reader));
	if (!reader)
		return NULL;
	reader->size = bytes_most;
	reader->dents = block_new(DENTS_BYTES);
	reader->bound = moirai_alloc(NAME_BYTES_MOST);
	reader->memory = block_new(bytes_most);
	if (!reader->dents || !reader->bound || !reader->memory) {
		names_reader_delete(reader);
		return NULL;
	}
	return reader;
}

void names_reader_delete(names_reader *reader)
{
	if (!reader)
		return;
	block_delete(reader->dents, DENTS_BYTES);
	moirai_free(reader->bound);
	block_delete(reader->memory, reader->size);
	moirai_free(reader);
}

/* The byte at a depth, as the order sees it: '/' behind a directory, 0 behind everything. */
static unsigned name_byte(const name *n, size_t depth)
{
	if (depth < n->length)
		return (unsigned char)n->text[depth];
	return depth == n->length && n->type == DT_DIR ? '/' : 0;
}

int names_compare(const name *a, const name *b)
{
	size_t shorter = a->length < b->length ? a->length : b->length;
	int difference = memcmp(a->text, b->text, shorter);
	for (size_t depth = shorter; difference == 0 && depth <= shorter + 1; depth++)
		difference = (int)name_byte(a, depth) - (int)name_byte(b, depth);
	return difference;
}

static const name *name_of(const char *base, uint32_t at)
{
	return (const name *)(const void *)(base + at);
}

static void sort_swap(uint32_t *a, uint32_t *b)
{
	uint32_t swap = *a;
	*a = *b;
	*b = swap;
}

static unsigned sort_pivot(const char *base, const uint32_t *at, size_t n, size_t depth)
{
	unsigned a = name_byte(name_of(base, at[0]), depth);
	unsigned b = name_byte(name_of(base, at[n / 2]), depth);
	unsigned c = name_byte(name_of(base, at[n - 1]), depth);
	unsigned low = a < b ? a : b, high = a < b ? b : a;
	return c < low ? low : c > high ? high : c;
}

static void sort_insert(const char *base, uint32_t *at, size_t n)
{
	for (size_t i = 1; i < n; i++)
		for (size_t j = i; j > 0; j--) {
			if (names_compare(name_of(base, at[j - 1]), name_of(base, at[j])) <= 0)
				break;
			sort_swap(&at[j - 1], &at[j]);
		}
}

/* Parts [0, less), [less, more), [more, n): below, equal to and above the pivot's byte. */
static void sort_split(
	const char *base, uint32_t *at, size_t n, size_t depth, size_t *less, size_t *more)
{
	unsigned pivot = sort_pivot(base, at, n, depth);
	size_t low = 0, high = n;
	for (size_t i = 0; i < high;) {
		unsigned byte = name_byte(name_of(base, at[i]), depth);
		if (byte < pivot)
			sort_swap(&at[low++], &at[i++]);
		else if (byte > pivot)
			sort_swap(&at[i], &at[--high]);
		else
			i++;
	}
	*less = low;
	*more = high;
}

typedef struct sort_part {
	uint32_t *at;
	size_t n, depth;
} sort_part;

static void names_sort(const char *base, uint32_t *at, size_t n, size_t depth)
{
	while (n > 8) {
		size_t less, more;
		sort_split(base, at, n, depth, &less, &more);
		/* Names that are equal to their ends are finished: two in a directory are a bug of its
		 * file system, and harmless. */
		bool ended = name_byte(name_of(base, at[less]), depth) == 0;
		sort_part part[3] = {{at, less, depth},
			{at + less, ended ? 0 : more - less, depth + 1},
			{at + more, n - more, depth}};
		size_t largest = 0;
		for (size_t i = 1; i < 3; i++)
			largest = part[i].n > part[largest].n ? i : largest;
		for (size_t i = 0; i < 3; i++)
			if (i != largest)
				names_sort(base, part[i].at, part[i].n, part[i].depth);
		at = part[largest].at;
		n = part[largest].n;
		depth = part[largest].depth;
	}
	sort_insert(base, at, n);
}

/* The list of offsets grows downwards from the limit. */
static uint32_t *reader_list(const names_reader *reader)
{
	return (uint32_t *)(void *)(reader->memory + reader->limit) - reader->count;
}

/* Sorted records, moved together at the start of a new block. */
static names *reader_collect(const names_reader *reader, bool more)
{
	const uint32_t *list = reader_list(reader);
	size_t head = offsetof(names, at) + reader->count * sizeof(uint32_t), bytes = head;
	for (uint32_t i = 0; i < reader->count; i++)
		bytes += (sizeof(name) + name_of(reader->memory, list[i])->length + 1 + 3) &
			 ~(size_t)3;
	names *result = block_new(bytes);
	if (!result)
		return NULL;
	result->bytes = bytes;
	result->count = reader->count;
	result->more = more;
	size_t used = head;
	for (uint32_t i = 0; i < reader->count; i++) {
		const name *n = name_of(reader->memory, list[i]);
		memcpy((char *)result + used, n, sizeof(*n) + n->length + 1);
		result->at[i] = (uint32_t)used;
		used += (sizeof(*n) + n->length + 1 + 3) & ~(size_t)3;
	}
	return result;
}

/* Keeps the smaller half and bounds what may still come. 0, or -ENOMEM. */
static int reader_halve(names_reader *reader)
{
	uint32_t *list = reader_list(reader), all = reader->count, keep = all / 2;
	names_sort(reader->memory, list, all, 0);
	const name *first_out = name_of(reader->memory, list[keep]);
	memcpy(reader->bound, first_out, sizeof(*first_out) + first_out->length + 1);
	reader->bounded = true;
	/* The smaller half goes to the other end of the list's place, then through a block of its own
	 * back to the start of the memory, in order. */
	memmove(list + (all - keep), list, keep * sizeof(*list));
	reader->count = keep;
	names *kept = reader_collect(reader, true);
	if (!kept)
		return -ENOMEM;
	size_t head = offsetof(names, at) + keep * sizeof(uint32_t);
	reader->used = kept->bytes - head;
	memcpy(reader->memory, (char *)kept + head, reader->used);
	for (uint32_t i = 0; i < keep; i++)
		reader_list(reader)[i] = kept->at[i] - (uint32_t)head;
	names_free(kept);
	return 0;
}

/* Takes a name in if it lies between `after` and the bound. 0, or -ENOMEM. */
static int reader_take(names_reader *reader, const name *n, const name *after)
{
	size_t bytes = (sizeof(*n) + n->length + 1 + 3) & ~(size_t)3;
	if (after && names_compare(n, after) <= 0)
		return 0;
	if (reader->bounded && names_compare(n, (const name *)(const void *)reader->bound) >= 0)
		return 0;
	if (reader->used + bytes + (reader->count + 1) * sizeof(uint32_t) > reader->limit) {
		int status = reader_halve(reader);
		if (status < 0)
			return status;
		if (names_compare(n, (const name *)(const void *)reader->bound) >= 0)
			return 0;
	}
	memcpy(reader->memory + reader->used, n, sizeof(*n) + n->length + 1);
	reader->count++;
	*reader_list(reader) = (uint32_t)reader->used;
	reader->used += bytes;
	return 0;
}

/* What the entry is, where the directory does not say it or a link is to be followed. */
static void reader_classify(int fd, name *n, bool follow)
{
	struct stat status;
	n->link = n->type == DT_LNK && follow;
	if (n->type == DT_UNKNOWN) {
		if (fstatat(fd, n->text, &status, AT_SYMLINK_NOFOLLOW) < 0) {
			n->type = DT_REG; /* opening it will say what is wrong */
			return;
		}
		n->type = (uint8_t)IFTODT(status.st_mode);
		n->link = n->type == DT_LNK && follow;
	}
	if (!n->link)
		return;
	if (fstatat(fd, n->text, &status, 0) < 0)
		n->error = (uint8_t)errno;
	else
		n->type = (uint8_t)IFTODT(status.st_mode);
}

static int reader_entry(
	names_reader *reader, int fd, const struct dirent64 *entry, const name *after, bool follow)
{
	union {
		name n;
		char bytes[NAME_BYTES_MOST];
	} record;
	size_t length = strlen(entry->d_name);
	if (entry->d_name[0] == '.' && (length == 1 || (length == 2 && entry->d_name[1] == '.')))
		return 0;
	if (length > 255)
		return 0; /* no file system has them; the record could not hold it */
	record.n = (name){.length = (uint8_t)length, .type = entry->d_type};
	memcpy(record.bytes + offsetof(name, text), entry->d_name, length + 1);
	reader_classify(fd, &record.n, follow);
	return reader_take(reader, &record.n, after);
}

int names_read(names_reader *reader, int fd, const name *after, size_t bytes_most, bool follow,
	names **result)
{
	*result = NULL;
	reader->limit = (bytes_most < reader->size ? bytes_most : reader->size) & ~(size_t)7;
	reader->used = reader->count = 0;
	reader->bounded = false;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	for (;;) {
		ssize_t n = getdents64(fd, reader->dents, DENTS_BYTES);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		for (ssize_t i = 0; i < n;) {
			const struct dirent64 *entry = (const void *)(reader->dents + i);
			int status = reader_entry(reader, fd, entry, after, follow);
			if (status < 0)
				return status;
			i += entry->d_reclen;
		}
	}
	names_sort(reader->memory, reader_list(reader), reader->count, 0);
	*result = reader_collect(reader, reader->bounded);
	return *result ? 0 : -ENOMEM;
}
