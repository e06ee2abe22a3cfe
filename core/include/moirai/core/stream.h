/* SPDX-License-Identifier: MIT */
/*
 * Stream: a source of items over time. Channels, generators and readers are streams; adaptors (map,
 * filter, merge, ...) are streams over streams.
 *
 *   uint64_t number;
 *   int status;
 *   while ((status = moirai_stream_next(stream, &number, MOIRAI_NEVER)) == 0)
 *           use(number);
 *   // -EPIPE: it came to its end
 *   moirai_stream_destroy(stream);
 *
 * An item is item_size_bytes bytes, copied into the caller's memory. Unless an implementation says
 * more, one task at a time calls next(); close() may be called by anybody at any time.
 */
#ifndef MOIRAI_CORE_STREAM_H
#define MOIRAI_CORE_STREAM_H

#include <errno.h>
#include <moirai/core/base.h>
#include <moirai/core/clock.h>
#include <moirai/core/selectable.h>

MOIRAI_BEGIN_DECLS

typedef struct moirai_stream moirai_stream;

typedef struct moirai_stream_ops {
	/*
	 * Waits for the next item. 0: *item holds it; -EPIPE: the end, for ever; -ETIMEDOUT;
	 * -ECANCELED: the calling task is cancelled; others: the source failed, and the next call tells
	 * whether it goes on. After an error that is not 0 no item was lost.
	 */
	int (*next)(moirai_stream *stream, void *item, uint64_t deadline_ns);
	/*
	 * No more items are wanted: waiters and producers are told. Items already there may be
	 * delivered or dropped, as the implementation documents. Idempotent; never parks. May be NULL.
	 */
	void (*close)(moirai_stream *stream);
	/* Frees the stream; nobody uses it any more. NULL: it is embedded in something else. */
	void (*destroy)(moirai_stream *stream);
	/* How to wait for it in a select; NULL: not selectable. Lives as long as the stream. */
	moirai_selectable *(*selectable)(moirai_stream *stream);
} moirai_stream_ops;

/* The head of every stream. Set once, before anybody else sees the stream. */
struct moirai_stream {
	const moirai_stream_ops *ops;
	size_t item_size_bytes;
};

/**
 * Waits until deadline_ns for the next item and copies it to *item. 0; -EPIPE at the end;
 * -ETIMEDOUT; -ECANCELED; -EINVAL: a NULL argument; or what the source reports. A deadline in the
 * past makes it a try. A task parks, a thread sleeps.
 */
static inline int moirai_stream_next(moirai_stream *stream, void *item, uint64_t deadline_ns)
{
	return stream && item ? stream->ops->next(stream, item, deadline_ns) : -EINVAL;
}

/** Says that no more items are wanted. Any thread or task, any number of times. NULL is fine. */
static inline void moirai_stream_close(moirai_stream *stream)
{
	if (stream && stream->ops->close)
		stream->ops->close(stream);
}

/** Closes and frees it; the caller is its last user. NULL is fine. */
static inline void moirai_stream_destroy(moirai_stream *stream)
{
	moirai_stream_close(stream);
	if (stream && stream->ops->destroy)
		stream->ops->destroy(stream);
}

/** Its selectable side, or NULL when it has none. */
static inline moirai_selectable *moirai_stream_selectable(moirai_stream *stream)
{
	return stream && stream->ops->selectable ? stream->ops->selectable(stream) : NULL;
}

MOIRAI_END_DECLS

#endif
