/* SPDX-License-Identifier: MIT */
/*
 * Thread-local variables of model threads.
 *
 * Design. All model threads run on one thread of the system, but __thread variables of the program
 * must be theirs alone, with addresses of their own. So each gets a copy of the main thread's whole
 * static block (the C library's variables and the thread control block are in it) and the thread
 * pointer is moved at each switch. The program's own part starts from its initial image at each
 * thread's start; the rest is shared in effect, because it holds pointers and is hardly written.
 *
 * x86-64: variables lie below the thread pointer (variant II), and the control block names itself in
 * its first word. aarch64: they lie above it (variant I). The block's field `self` keeps naming the
 * main thread on x86-64, so that the owner of a lock of stdio stays the same.
 *
 * A program without thread-locals pays nothing.
 */
#define _GNU_SOURCE /* dl_iterate_phdr */
#include <link.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "model_internal.h"

/* What lies on the other side of the thread pointer: glibc's struct pthread is 2304 bytes on x86-64
 * and 1792 on aarch64 (glibc 2.31 .. 2.41); more is mapped there in any case. */
#define CONTROL_BYTES 1792
/* Distance between copies: the library's static block is below 8 KiB. */
#define SPAN (64 * 1024)

struct range {
	uintptr_t low, high;
};

static int find_blocks(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct model_tls *t = &model_state->tls;
	struct range *r = arg;
	(void)size;
	bool program = t->objects++ == 0;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		if (p->p_type != PT_TLS || !info->dlpi_tls_data)
			continue;
		uintptr_t start = (uintptr_t)info->dlpi_tls_data;
		/* A library that was loaded late has a block elsewhere: reached another way. */
		if (start - (t->main_pointer - SPAN / 4) >= SPAN / 2)
			continue;
		if (start < r->low)
			r->low = start;
		if (start + p->p_memsz > r->high)
			r->high = start + p->p_memsz;
		if (!program)
			continue;
		t->offset = (intptr_t)(start - t->main_pointer);
		t->image = (const void *)(info->dlpi_addr + p->p_vaddr);
		t->image_size = p->p_filesz;
		t->size = p->p_memsz;
	}
	return 0;
}

static inline uintptr_t thread_pointer(void)
{
#if defined(__x86_64__)
	uintptr_t pointer;
	__asm__("movq %%fs:0, %0" : "=r"(pointer));
	return pointer;
#else
	return (uintptr_t)__builtin_thread_pointer();
#endif
}

static void set_thread_pointer(const struct model_tls *t, uintptr_t pointer)
{
#if defined(__x86_64__)
	enum { ARCH_SET_FS_ = 0x1002 };
	if (MOIRAI_LIKELY(t->fast))
		__asm__ volatile("wrfsbase %0" ::"r"(pointer) : "memory");
	else
		syscall(SYS_arch_prctl, ARCH_SET_FS_, pointer);
#else
	(void)t;
	__asm__ volatile("msr tpidr_el0, %0" ::"r"(pointer) : "memory");
#endif
}

void model_tls_init(struct model *m)
{
	struct model_tls *t = &m->tls;
	t->main_pointer = thread_pointer();
	struct range r = {t->main_pointer, t->main_pointer};
	dl_iterate_phdr(find_blocks, &r);
	if (t->size == 0)
		return;
#if defined(__x86_64__)
	enum { HWCAP2_FSGSBASE_ = 2 };
	t->fast = getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE_;
	r.high = t->main_pointer + CONTROL_BYTES;
#else
	r.low = t->main_pointer - CONTROL_BYTES;
#endif
	char *copies = mmap(NULL, (MODEL_THREADS_MAX + 1) * SPAN, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (copies == MAP_FAILED) {
		perror("model: mmap");
		_exit(2);
	}
	/* The same offset in a page: whatever alignment the original has, the copies have. */
	uintptr_t first = ((uintptr_t)copies & ~4095ull) + SPAN / 2 + (t->main_pointer & 4095);
	for (int i = 0; i < MODEL_THREADS_MAX; i++) {
		uintptr_t pointer = first + (uintptr_t)i * SPAN;
		t->pointer[i] = pointer;
		memcpy((void *)(pointer - (t->main_pointer - r.low)), (const void *)r.low,
			r.high - r.low);
#if defined(__x86_64__)
		*(uintptr_t *)pointer = pointer;
#endif
	}
}

/* A thread starts: its variables have their initial values. */
void model_tls_fresh(struct model *m, int thread)
{
	const struct model_tls *t = &m->tls;
	if (t->size == 0)
		return;
	char *variables = (char *)(t->pointer[thread] + (uintptr_t)t->offset);
	memcpy(variables, t->image, t->image_size);
	memset(variables + t->image_size, 0, t->size - t->image_size);
}

void model_tls_enter_slow(struct model *m, int thread)
{
	set_thread_pointer(&m->tls, m->tls.pointer[thread]);
}

void model_tls_leave_slow(struct model *m)
{
	set_thread_pointer(&m->tls, m->tls.main_pointer);
}
