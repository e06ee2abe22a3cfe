/* SPDX-License-Identifier: MIT */
/* Traces: names for addresses, one line per operation, choices as a string. */
#include <stdarg.h>
#include <string.h>

#include "model_internal.h"

/* ------------------------------------------------------------------ names */

void model_name_array(
	const volatile void *address, size_t size_bytes, size_t count, const char *name)
{
	struct model *m = model_state;
	if (!m || !m->running || m->names >= MODEL_NAMES)
		return;
	m->name[m->names++] = (struct name){(uintptr_t)address, size_bytes, count, name};
}

void model_name(const volatile void *address, const char *name)
{
	model_name_array(address, 1, 0, name);
}

static const char *describe(struct model *m, uintptr_t address, char *text, size_t size)
{
	for (unsigned i = m->names; i-- > 0;) {
		const struct name *n = &m->name[i];
		if (n->count == 0 && n->address == address)
			return n->text;
		size_t offset = address - n->address;
		if (n->count == 0 || offset >= n->count * n->size_bytes)
			continue;
		int used = snprintf(text, size, "%s[%zu]", n->text, offset / n->size_bytes);
		if (offset % n->size_bytes && used > 0 && (size_t)used < size)
			snprintf(text + used, size - (size_t)used, "+%zu", offset % n->size_bytes);
		return text;
	}
	size_t in_arena = address - (uintptr_t)m->arena;
	if (in_arena < MODEL_ARENA) {
		unsigned number = m->granule[in_arena / MODEL_GRANULE];
		if (number)
			snprintf(text, size, "block#%u+%zu", number,
				(size_t)(address - m->block[number - 1].address));
		else
			snprintf(text, size, "arena+%zu", in_arena);
		return text;
	}
	size_t in_stacks = address - (uintptr_t)m->stacks;
	if (in_stacks < (size_t)MODEL_STACK * MODEL_THREADS_MAX) {
		size_t thread = in_stacks / MODEL_STACK;
		snprintf(text, size, "stack of %zu-%zu", thread,
			(thread + 1) * MODEL_STACK - in_stacks);
		return text;
	}
	snprintf(text, size, "%#zx", (size_t)address);
	return text;
}

/* A name for messages; the text is overwritten by the fourth call from now. */
const char *model_where(struct model *m, const volatile void *p)
{
	static char ring[4][96];
	static unsigned next;
	char *text = ring[next++ % 4];
	return describe(m, (uintptr_t)p, text, sizeof(ring[0]));
}

const char *model_order_name(int order)
{
	switch (order) {
	case __ATOMIC_RELAXED:
		return "relaxed";
	case __ATOMIC_ACQUIRE:
	case __ATOMIC_CONSUME:
		return "acquire";
	case __ATOMIC_RELEASE:
		return "release";
	case __ATOMIC_ACQ_REL:
		return "acq_rel";
	default:
		return "seq_cst";
	}
}

/* ------------------------------------------------------------------ lines */

/* One column per thread, so that the eye can follow each. Of a long execution the end is shown. */
void model_trace(struct model *m, const char *format, ...)
{
	if (m->step < m->trace_from)
		return;
	char text[512];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	printf("# %5u  %*sT%d  %s\n", m->step, m->self * 3, "", m->self, text);
}

void model_note(const char *format, ...)
{
	struct model *m = model_state;
	if (!m || !m->tracing)
		return;
	char text[256];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	model_trace(m, "-- %s", text);
}

void model_count(const char *what)
{
	struct model *m = model_state;
	for (unsigned i = 0; i < m->counters; i++)
		if (m->counter[i].what == what) {
			m->counter[i].count++;
			return;
		}
	if (m->counters < MODEL_COUNTERS) {
		m->counter[m->counters].what = what;
		m->counter[m->counters++].count = 1;
	}
}

/* ------------------------------------------------------------------ choices as text */

static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";

/* Choices behind the last that is not 0 are what replay does by itself. */
void model_write_choices(const struct model *m, FILE *to)
{
	unsigned length = m->tape_at;
	while (length > 0 && m->tape[length - 1].taken == 0)
		length--;
	for (unsigned i = 0; i < length; i++)
		fputc(digits[m->tape[i].taken], to);
	if (length == 0)
		fputc('0', to);
}

bool model_read_choices(struct model *m, const char *from)
{
	m->tape_length = 0;
	for (; *from; from++) {
		const char *digit = strchr(digits, *from);
		if (!digit || m->tape_length >= MODEL_CHOICES_MAX)
			return false;
		m->tape[m->tape_length++].taken = (uint8_t)(digit - digits);
	}
	return true;
}
