/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "treehash.h"

/* More workers than this help nobody, and each has a buffer: 256 of them are 32 MiB. */
#define JOBS_MOST 256

#define EXIT_USAGE 2

static const char help[] =
	"Usage: treehash [OPTION]... [PATH]...\n"
	"Hashes the files below each PATH (default: .) with XXH3 and prints lines for `xxhsum -c`,\n"
	"sorted by the bytes of their paths, the same for any number of workers.\n"
	"\n"
	"  -j, --jobs N    workers (default: the processors this process may use; at most 256)\n"
	"  -L, --follow    follow symbolic links; loops are reported\n"
	"      --json      one JSON object per line, and a summary object\n"
	"  -q, --quiet     no progress, no closing line, no notes about what is skipped\n"
	"      --help      this text\n"
	"      --version   the version\n"
	"\n"
	"Symbolic links are left out unless followed (PATHs always are); sockets, pipes and devices\n"
	"are noted and left out. What cannot be read, or changes while it is read, is reported on\n"
	"standard error and has no line. A name with a newline is escaped in the form that xxhsum\n"
	"understands from 0.8.3 on; older ones pass over the line.\n"
	"\n"
	"Exit: 0 all hashed, 1 something was not, 2 wrong usage, 130 interrupted.\n";

static int options_jobs(options *o, const char *text)
{
	char *end;
	long value = strtol(text, &end, 10);
	if (end == text || *end || value < 1 || value > JOBS_MOST) {
		fprintf(stderr, "treehash: --jobs takes a number from 1 to %d, not \"%s\"\n",
			JOBS_MOST, text);
		return EXIT_USAGE + 1;
	}
	o->jobs = (unsigned)value;
	return 0;
}

int options_parse(options *o, int argc, char **argv)
{
	enum { JSON = 256, HELP, VERSION };
	static const struct option longs[] = {{"jobs", required_argument, NULL, 'j'},
		{"follow", no_argument, NULL, 'L'}, {"json", no_argument, NULL, JSON},
		{"quiet", no_argument, NULL, 'q'}, {"help", no_argument, NULL, HELP},
		{"version", no_argument, NULL, VERSION}, {0}};
	static char here[] = ".", *here_only[] = {here};
	int c, status = 0;
	*o = (options){0};
	while (status == 0 && (c = getopt_long(argc, argv, "j:Lq", longs, NULL)) != -1) {
		switch (c) {
		case 'j':
			status = options_jobs(o, optarg);
			break;
		case 'L':
			o->follow = true;
			break;
		case 'q':
			o->quiet = true;
			break;
		case JSON:
			o->json = true;
			break;
		case HELP:
			fputs(help, stdout);
			return 1;
		case VERSION:
			puts("treehash " TREEHASH_VERSION);
			return 1;
		default:
			fputs("treehash: see treehash --help\n", stderr);
			status = EXIT_USAGE + 1;
		}
	}
	o->roots = optind < argc ? argv + optind : here_only;
	o->roots_count = optind < argc ? argc - optind : 1;
	return status;
}
