/* SPDX-License-Identifier: MIT */
/*
 * Structured logging: a message that never changes, and fields that do.
 *
 *   MOIRAI_LOG(INFO, "worker started", moirai_kv_u64("worker", id), moirai_kv_str("name", name));
 *
 *   time=2026-11-20T12:00:00.000000Z level=info component=executor msg="worker started" worker=3
 *
 * or the same as one JSON object. A line is written whole, whoever writes at the same time. A
 * level that is off costs one relaxed load and a branch; the arguments are not evaluated. Writing
 * allocates nothing. Each call site has a budget of lines per second; what it loses is counted and
 * reported on its next line. What a sink logs itself is dropped and counted.
 *
 * Any thread or task; not signal handlers.
 */
#ifndef MOIRAI_CORE_LOG_H
#define MOIRAI_CORE_LOG_H

#include <moirai/core/atomic.h>
#include <moirai/core/base.h>

MOIRAI_BEGIN_DECLS

/* Preprocessor constants too: MOIRAI_LOG_FLOOR is compared in #if. */
#define MOIRAI_LOG_TRACE 0
#define MOIRAI_LOG_DEBUG 1
#define MOIRAI_LOG_INFO  2
#define MOIRAI_LOG_WARN  3
#define MOIRAI_LOG_ERROR 4
#define MOIRAI_LOG_OFF   5 /* as a threshold: nothing is written */
typedef int moirai_log_level;

/* Calls below the floor are compiled out. The build option log_floor sets the default. */
#ifndef MOIRAI_LOG_FLOOR
#ifdef MOIRAI_LOG_FLOOR_DEFAULT
#define MOIRAI_LOG_FLOOR MOIRAI_LOG_FLOOR_DEFAULT
#else
#define MOIRAI_LOG_FLOOR MOIRAI_LOG_TRACE
#endif
#endif

/* The component of a line; define it before the include, or redefine it, per file. */
#ifndef MOIRAI_LOG_COMPONENT
#define MOIRAI_LOG_COMPONENT "app"
#endif

/*
 * Bytes of a line, its newline included: far below PIPE_BUF (4096), so that one write to a pipe or
 * an appended file is never torn, and small enough for the stack of a task. What does not fit is
 * cut, and the line says truncated=true.
 */
#define MOIRAI_LOG_LINE_MAX 1024
/* Fields of a line: what one looks at in one line. The macro refuses more at compile time. */
#define MOIRAI_LOG_FIELDS_MAX 16
/* Lines that a call site may write per second unless moirai_log_limit_set() says otherwise. */
#define MOIRAI_LOG_LIMIT_DEFAULT 100

/* --- fields --- */

typedef enum moirai_kv_type {
	MOIRAI_KV_I64,
	MOIRAI_KV_U64,
	MOIRAI_KV_HEX,
	MOIRAI_KV_F64,
	MOIRAI_KV_BOOL,
	MOIRAI_KV_STR,
	MOIRAI_KV_PTR,
	MOIRAI_KV_STATUS,
} moirai_kv_type;

/* One field of a line; made by the functions below and read at once. Strings are not copied. */
typedef struct moirai_kv {
	const char *key_; /* letters, digits and one of _ . -; anything else is written as _ */
	moirai_kv_type type_;
	uint32_t length_; /* of a string */
	union {
		int64_t i;
		uint64_t u;
		double f;
		const void *p;
	} value_;
} moirai_kv;

static inline moirai_kv moirai_kv_i64(const char *key, int64_t value)
{
	moirai_kv kv;
	kv.key_ = key;
	kv.type_ = MOIRAI_KV_I64;
	kv.length_ = 0;
	kv.value_.i = value;
	return kv;
}

static inline moirai_kv moirai_kv_u64(const char *key, uint64_t value)
{
	moirai_kv kv = moirai_kv_i64(key, 0);
	kv.type_ = MOIRAI_KV_U64;
	kv.value_.u = value;
	return kv;
}

/** As u64, written in hexadecimal: 0x1f. */
static inline moirai_kv moirai_kv_hex(const char *key, uint64_t value)
{
	moirai_kv kv = moirai_kv_u64(key, value);
	kv.type_ = MOIRAI_KV_HEX;
	return kv;
}

/** A double; what is not finite is null in JSON. */
static inline moirai_kv moirai_kv_f64(const char *key, double value)
{
	moirai_kv kv = moirai_kv_i64(key, 0);
	kv.type_ = MOIRAI_KV_F64;
	kv.value_.f = value;
	return kv;
}

static inline moirai_kv moirai_kv_bool(const char *key, bool value)
{
	moirai_kv kv = moirai_kv_u64(key, value);
	kv.type_ = MOIRAI_KV_BOOL;
	return kv;
}

/** `length` bytes, any bytes: what is no UTF-8 is escaped. NULL is written as null. */
static inline moirai_kv moirai_kv_strn(const char *key, const char *value, size_t length)
{
	moirai_kv kv = moirai_kv_i64(key, 0);
	kv.type_ = MOIRAI_KV_STR;
	kv.length_ = length < MOIRAI_LOG_LINE_MAX ? (uint32_t)length : MOIRAI_LOG_LINE_MAX;
	kv.value_.p = value;
	return kv;
}

/** A terminated string; NULL is written as null. At most MOIRAI_LOG_LINE_MAX bytes are read. */
static inline moirai_kv moirai_kv_str(const char *key, const char *value)
{
	size_t length = 0;
	while (value && length < MOIRAI_LOG_LINE_MAX && value[length])
		length++;
	return moirai_kv_strn(key, value, length);
}

static inline moirai_kv moirai_kv_ptr(const char *key, const void *value)
{
	moirai_kv kv = moirai_kv_i64(key, 0);
	kv.type_ = MOIRAI_KV_PTR;
	kv.value_.p = value;
	return kv;
}

/** A status of the library by its name: ETIMEDOUT; a number when it has none. */
static inline moirai_kv moirai_kv_status(const char *key, int status)
{
	moirai_kv kv = moirai_kv_i64(key, status);
	kv.type_ = MOIRAI_KV_STATUS;
	return kv;
}

/* --- writing --- */

/* A call site; static, made by MOIRAI_LOG. */
typedef struct moirai_log_site {
	const char *component;
	const char *file;
	const char *message;
	int32_t line;
	moirai_log_level level;
	uint64_t budget_; /* second << 32 | lines asked for in it */
} moirai_log_site;

/** Private: the threshold in force. */
MOIRAI_API extern int32_t moirai__log_threshold;
/** Private: the slow half. */
MOIRAI_API MOIRAI_COLD void moirai__log_write(
	moirai_log_site *site, const moirai_kv *fields, size_t count);

/** Would a line of this level be written? One relaxed load: less than 1 ns. */
static inline bool moirai_log_enabled(moirai_log_level level)
{
	/* relaxed: a threshold that changes takes effect a moment later; nothing is published by it. */
	return level >= moirai_load_relaxed(&moirai__log_threshold);
}

/*
 * MOIRAI_LOG(level, message, fields...): level is one of TRACE DEBUG INFO WARN ERROR; message is a
 * string literal; fields are moirai_kv, at most MOIRAI_LOG_FIELDS_MAX.
 */
#define MOIRAI_LOG(level, ...)                                                                  \
	MOIRAI__LOG_PICK(__VA_ARGS__, MOIRAI__LOG_KV, MOIRAI__LOG_KV, MOIRAI__LOG_KV,           \
		MOIRAI__LOG_KV, MOIRAI__LOG_KV, MOIRAI__LOG_KV, MOIRAI__LOG_KV, MOIRAI__LOG_KV, \
		MOIRAI__LOG_KV, MOIRAI__LOG_KV, MOIRAI__LOG_KV, MOIRAI__LOG_KV, MOIRAI__LOG_KV, \
		MOIRAI__LOG_KV, MOIRAI__LOG_KV, MOIRAI__LOG_KV, MOIRAI__LOG_MESSAGE, 0)         \
	(MOIRAI_LOG_##level, __VA_ARGS__)
#define MOIRAI__LOG_PICK(m, a, b, c, d, e, f, g, h, i, j, k, l, n, o, p, q, pick, ...) pick
#define MOIRAI__LOG_SITE(level, message)        \
	static moirai_log_site moirai_site_ = { \
		MOIRAI_LOG_COMPONENT, __FILE__, "" message, __LINE__, (level), 0}
#define MOIRAI__LOG_MESSAGE(level, message)                                                      \
	do {                                                                                     \
		if ((level) >= MOIRAI_LOG_FLOOR && MOIRAI_UNLIKELY(moirai_log_enabled(level))) { \
			MOIRAI__LOG_SITE(level, message);                                        \
			moirai__log_write(&moirai_site_, NULL, 0);                               \
		}                                                                                \
	} while (0)
#define MOIRAI__LOG_KV(level, message, ...)                                                        \
	do {                                                                                       \
		if ((level) >= MOIRAI_LOG_FLOOR && MOIRAI_UNLIKELY(moirai_log_enabled(level))) {   \
			MOIRAI__LOG_SITE(level, message);                                          \
			const moirai_kv moirai_fields_[] = {__VA_ARGS__};                          \
			moirai__log_write(                                                         \
				&moirai_site_, moirai_fields_, MOIRAI_ARRAY_SIZE(moirai_fields_)); \
		}                                                                                  \
	} while (0)

/* --- control --- */

/** Writes lines of `level` and above; MOIRAI_LOG_OFF: none. WARN at the start. -EINVAL. */
MOIRAI_API int moirai_log_level_set(moirai_log_level level);

/** The threshold in force. */
MOIRAI_API moirai_log_level moirai_log_level_get(void);

/** "trace" ... "error", "off"; "?" for what is no level. */
MOIRAI_API const char *moirai_log_level_name(moirai_log_level level);

/** The level of a name, in any case, in *level. -EINVAL when it is none. */
MOIRAI_API int moirai_log_level_parse(const char *name, moirai_log_level *level);

typedef enum moirai_log_format {
	MOIRAI_LOG_TEXT, /* key=value */
	MOIRAI_LOG_JSON, /* one object a line */
} moirai_log_format;

/** The form of the lines; text at the start. -EINVAL. */
MOIRAI_API int moirai_log_format_set(moirai_log_format format);

/* Where lines go. */
typedef struct moirai_log_sink {
	/*
	 * One whole line of `length` bytes, newline included, not terminated. Calls do not overlap. May
	 * not park or log (a line logged inside is dropped) or call moirai_log_sink_set.
	 */
	void (*write)(void *self, moirai_log_level level, const char *line, size_t length);
	void *self;
} moirai_log_sink;

/**
 * Sends lines to a sink; the table is copied. NULL: back to the file descriptor. When it returns the
 * sink before is not running and will not be called again. -EINVAL: no function; -EDEADLK: called by
 * a sink.
 */
MOIRAI_API int moirai_log_sink_set(const moirai_log_sink *sink);

/**
 * The file descriptor for lines that no sink takes; 2, stderr, at the start. It stays the caller's.
 * -EINVAL: negative; -EDEADLK: called by a sink.
 */
MOIRAI_API int moirai_log_fd_set(int fd);

/** Lines that a call site may write per second; 0: no limit. */
MOIRAI_API void moirai_log_limit_set(uint32_t lines_per_second);

typedef struct moirai_log_stats {
	uint64_t lines;      /* written */
	uint64_t truncated;  /* ... of these, cut at MOIRAI_LOG_LINE_MAX */
	uint64_t suppressed; /* lost to a call site's limit */
	uint64_t recursions; /* lost because a sink logged */
	uint64_t failures;   /* lost because the file descriptor refused them */
} moirai_log_stats;

/** Fills *stats; approximate while others log. Never fails. */
MOIRAI_API void moirai_log_stats_get(moirai_log_stats *stats);

MOIRAI_END_DECLS

#endif
