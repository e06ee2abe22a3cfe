/* SPDX-License-Identifier: MIT */
/*
 * Races on plain fields: what MOIRAI_RD() and MOIRAI_WR() mark.
 *
 * Design. Per field the stamp of the last write and of each thread's last read; a stamp is the
 * accessor's own clock at that moment. An access races with an earlier one by another thread when
 * the accessor's view does not cover that stamp (Flanagan and Freund, FastTrack, PLDI 2009, with a
 * full vector for reads). This needs no scheduling point: whichever way round two unordered accesses
 * run, the second one is reported.
 *
 * A field is known by its first byte; larger ones are checked in pieces of eight.
 */
#include <string.h>

#include "model_internal.h"

void model_reset_plains(struct model *m)
{
	if (m->plains)
		memset(m->plain_hash, 0, sizeof(m->plain_hash));
	m->plains = 0;
}

void model_forget_plains(struct model *m, uintptr_t address, size_t size_bytes)
{
	for (unsigned i = 0; i < m->plains; i++) {
		struct plain *f = &m->plain[i];
		if (f->address - address >= size_bytes)
			continue;
		f->write_stamp = 0;
		memset(f->read_stamp, 0, sizeof(f->read_stamp));
	}
}

static struct plain *find_plain(struct model *m, uintptr_t address)
{
	unsigned slot = model_hash(address, MODEL_PLAIN_HASH);
	for (; m->plain_hash[slot]; slot = (slot + 1) & (MODEL_PLAIN_HASH - 1))
		if (m->plain[m->plain_hash[slot] - 1].address == address)
			return &m->plain[m->plain_hash[slot] - 1];
	if (m->plains >= MODEL_PLAINS)
		model_fail("more than %d plain fields", MODEL_PLAINS);
	struct plain *f = &m->plain[m->plains++];
	m->plain_hash[slot] = (uint16_t)m->plains;
	memset(f, 0, sizeof(*f));
	f->address = address;
	return f;
}

static void check_plain(struct model *m, uintptr_t address, bool write)
{
	struct plain *f = find_plain(m, address);
	const struct view *v = &m->thread[m->self].current;
	const char *kind = write ? "write" : "read";
	if (f->write_stamp && f->writer != m->self && v->clock[f->writer] < f->write_stamp)
		model_fail("data race on %s: %s by thread %d, earlier write by thread %d",
			model_where(m, (const void *)address), kind, m->self, f->writer);
	if (!write) {
		f->read_stamp[m->self] = m->now[m->self];
		return;
	}
	for (int i = 0; i < m->threads; i++)
		if (i != m->self && v->clock[i] < f->read_stamp[i])
			model_fail("data race on %s: write by thread %d, earlier read by thread %d",
				model_where(m, (const void *)address), m->self, i);
	f->write_stamp = m->now[m->self];
	f->writer = (uint8_t)m->self;
}

void moirai_model_plain(const volatile void *p, unsigned size, bool write)
{
	struct model *m = model_state;
	if (!m || !m->running)
		return;
	model_access(m, p, size);
	for (unsigned offset = 0; offset < size; offset += 8)
		check_plain(m, (uintptr_t)p + offset, write);
	if (m->tracing)
		model_trace(m, "%s %s (plain)", write ? "write" : "read", model_where(m, p));
}
