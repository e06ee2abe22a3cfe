/* SPDX-License-Identifier: MIT */
/*
 * The OS layer on Windows 8 and later: WaitOnAddress for waiting, FlushProcessWriteBuffers as the
 * heavy fence, fiber-local storage callbacks for exit hooks (they run at the end of every thread).
 */
#define _WIN32_WINNT 0x0602
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include <bcrypt.h>
#include <errno.h>
#include <io.h>
#include <limits.h>
#include <malloc.h>
#include <process.h>
#include <string.h>

#include <moirai/core/os.h>

#include <moirai/core/alloc.h>
#include <moirai/core/atomic.h>
#include <moirai/core/clock.h>
#include <moirai/core/internal/fault.h>

#include "os_internal.h"

const char *moirai_os_name(void)
{
	return "windows";
}

/* --- clocks --- */

uint64_t moirai_os_clock(void)
{
	static uint64_t frequency; /* fixed at boot */
	uint64_t hz = moirai_load_relaxed(&frequency);
	LARGE_INTEGER value;
	if (!hz) {
		QueryPerformanceFrequency(&value);
		hz = (uint64_t)value.QuadPart;
		moirai_store_relaxed(&frequency, hz); /* racing callers agree */
	}
	QueryPerformanceCounter(&value);
	uint64_t ticks = (uint64_t)value.QuadPart;
	/* Seconds and the rest apart: the product would overflow after hours. */
	return ticks / hz * MOIRAI_S + ticks % hz * MOIRAI_S / hz;
}

uint64_t moirai_os_clock_wall(void)
{
	FILETIME time;
	GetSystemTimePreciseAsFileTime(&time);
	uint64_t since_1601 = (uint64_t)time.dwHighDateTime << 32 | time.dwLowDateTime; /* 100 ns */
	return (since_1601 - 116444736000000000ull) * 100;
}

uint64_t moirai_os_thread_cpu(void)
{
	FILETIME created, ended, kernel, user;
	if (!GetThreadTimes(GetCurrentThread(), &created, &ended, &kernel, &user))
		return 0;
	uint64_t in_kernel = (uint64_t)kernel.dwHighDateTime << 32 | kernel.dwLowDateTime;
	uint64_t in_user = (uint64_t)user.dwHighDateTime << 32 | user.dwLowDateTime;
	return (in_kernel + in_user) * 100;
}

/* Milliseconds up to the deadline, rounded up, at most a day: the callers come back for more. */
static DWORD milliseconds_until(uint64_t deadline_ns)
{
	const uint64_t day_ms = 86400000;
	if (deadline_ns == MOIRAI_NEVER)
		return INFINITE;
	uint64_t now = moirai_os_clock();
	if (deadline_ns <= now)
		return 0;
	uint64_t ms = (deadline_ns - now - 1) / MOIRAI_MS + 1;
	return (DWORD)(ms < day_ms ? ms : day_ms);
}

void moirai_os_yield(void)
{
	SwitchToThread();
}

void moirai_os_sleep(uint64_t duration_ns)
{
	uint64_t now = moirai_os_clock();
	uint64_t deadline =
		duration_ns > MOIRAI_NEVER - 1 - now ? MOIRAI_NEVER - 1 : now + duration_ns;
	DWORD ms;
	while ((ms = milliseconds_until(deadline)) > 0)
		Sleep(ms);
}

/* --- waiting --- */

int moirai_os_futex_wait(const uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
	if (moirai__fault(MOIRAI_FAULT_WAIT))
		return 0;
	/* The system does not tell a wake-up from a word that differed. Acquire: as a futex would. */
	if (moirai_load_acquire(word) != expected)
		return -EAGAIN;
	for (;;) {
		DWORD ms = milliseconds_until(deadline_ns);
		if (ms == 0)
			return -ETIMEDOUT;
		void *address = (void *)(uintptr_t)word;
		if (WaitOnAddress(address, &expected, sizeof(expected), ms))
			return 0;
		if (GetLastError() != ERROR_TIMEOUT)
			return 0;
		/* Early by the clock's grain, or the end of a day: again. */
		if (moirai_load_acquire(word) != expected)
			return 0;
	}
}

int moirai_os_futex_wake(const uint32_t *word, uint32_t count)
{
	void *address = (void *)(uintptr_t)word;
	const uint32_t all = 64; /* more single calls than this cost more than a herd */
	if (count >= all)
		WakeByAddressAll(address);
	else
		while (count-- > 0)
			WakeByAddressSingle(address);
	return 0; /* the system does not tell */
}

/* --- threads --- */

struct thread_start {
	void (*fn)(void *arg);
	void *arg;
	WCHAR name[16];
};

static void name_thread(const WCHAR *name)
{
	/* Windows 10; not in the import library of older ones. */
	typedef HRESULT(WINAPI * set_description)(HANDLE, PCWSTR);
	HMODULE kernel = GetModuleHandleW(L"kernel32.dll");
	FARPROC found = kernel ? GetProcAddress(kernel, "SetThreadDescription") : NULL;
	if (found)
		((set_description)(void *)found)(GetCurrentThread(), name);
}

static unsigned __stdcall thread_main(void *pointer)
{
	struct thread_start start = *(struct thread_start *)pointer;
	moirai_free(pointer);
	if (start.name[0])
		name_thread(start.name);
	start.fn(start.arg);
	return 0;
}

int moirai_os_thread_create(moirai_os_thread *thread, const moirai_os_thread_attr *attr,
	void (*fn)(void *arg), void *arg)
{
	if (!thread || !fn)
		return -EINVAL;
	size_t stack = attr ? attr->stack_size_bytes : 0;
	if (stack > UINT_MAX)
		return -EINVAL;
	if (moirai__fault(MOIRAI_FAULT_THREAD))
		return -EAGAIN;
	struct thread_start *start = moirai_alloc_zeroed(1, sizeof(*start));
	if (!start)
		return -ENOMEM;
	start->fn = fn;
	start->arg = arg;
	/* Names are ASCII here; the last place stays zero. */
	for (int i = 0; attr && attr->name && attr->name[i] && i < 15; i++)
		start->name[i] = (unsigned char)attr->name[i];
	uintptr_t handle = _beginthreadex(
		NULL, (unsigned)stack, thread_main, start, STACK_SIZE_PARAM_IS_A_RESERVATION, NULL);
	if (!handle) {
		moirai_free(start);
		return -EAGAIN;
	}
	thread->handle_ = handle;
	return 0;
}

int moirai_os_thread_join(moirai_os_thread thread)
{
	HANDLE handle = (HANDLE)thread.handle_;
	if (WaitForSingleObject(handle, INFINITE) != WAIT_OBJECT_0)
		return -EINVAL;
	CloseHandle(handle);
	return 0;
}

uint64_t moirai_os_thread_id(void)
{
	return GetCurrentThreadId();
}

int moirai_os_thread_stack(void **low, void **high)
{
	if (!low || !high)
		return -EINVAL;
	ULONG_PTR from, to;
	GetCurrentThreadStackLimits(&from, &to);
	*low = (void *)from;
	*high = (void *)to;
	return 0;
}

int moirai_os_timer_slack(uint64_t slack_ns)
{
	return -ENOTSUP;
}

/* --- exit hooks --- */

struct exit_hooks {
	unsigned count;
	struct {
		void (*fn)(void *slot);
		void *slot;
	} hooks[MOIRAI_OS_EXIT_HOOKS_MAX];
};

static DWORD exit_key = FLS_OUT_OF_INDEXES;
static INIT_ONCE exit_once = INIT_ONCE_STATIC_INIT;

/* The list comes from the system's heap: thread-local storage may be gone when it is needed. */
static void WINAPI run_exit_hooks(void *list)
{
	struct exit_hooks *mine = list;
	while (mine && mine->count > 0) {
		unsigned last = --mine->count;
		mine->hooks[last].fn(mine->hooks[last].slot);
	}
	if (mine)
		HeapFree(GetProcessHeap(), 0, mine);
}

static BOOL CALLBACK make_exit_key(INIT_ONCE *once, void *parameter, void **context)
{
	exit_key = FlsAlloc(run_exit_hooks);
	return TRUE;
}

int moirai_os_thread_exit_hook(void (*fn)(void *slot), void *slot)
{
	if (!fn)
		return -EINVAL;
	InitOnceExecuteOnce(&exit_once, make_exit_key, NULL, NULL);
	if (exit_key == FLS_OUT_OF_INDEXES)
		return -ENOMEM;
	struct exit_hooks *mine = FlsGetValue(exit_key);
	if (!mine) {
		mine = HeapAlloc(GetProcessHeap(), HEAP_ZERO_MEMORY, sizeof(*mine));
		if (!mine)
			return -ENOMEM;
		FlsSetValue(exit_key, mine);
	}
	if (mine->count == MOIRAI_OS_EXIT_HOOKS_MAX)
		return -ENOSPC;
	mine->hooks[mine->count].fn = fn;
	mine->hooks[mine->count].slot = slot;
	mine->count++;
	return 0;
}

/* --- barrier --- */

int moirai__os_barrier_register(void)
{
	/* Under wine 8 the call returns and orders nothing: test_atomic finds both sides blind. */
	HMODULE ntdll = GetModuleHandleW(L"ntdll.dll");
	return ntdll && GetProcAddress(ntdll, "wine_get_version") ? -ENOSYS : 0;
}

int moirai__os_barrier(void)
{
	FlushProcessWriteBuffers();
	return 0;
}

void moirai__os_at_fork_child(void (*fn)(void))
{
}

/* --- processors: the 64 of the calling thread's group --- */

int moirai_os_affinity_get(moirai_cpuset *set)
{
	DWORD_PTR process, machine;
	if (!set)
		return -EINVAL;
	if (!GetProcessAffinityMask(GetCurrentProcess(), &process, &machine))
		return -ENOTSUP;
	/* A thread's mask can only be read by setting it. */
	DWORD_PTR mask = SetThreadAffinityMask(GetCurrentThread(), process);
	if (mask)
		SetThreadAffinityMask(GetCurrentThread(), mask);
	*set = (moirai_cpuset){{(mask ? mask & process : process)}};
	return 0;
}

int moirai_os_affinity_set(const moirai_cpuset *set)
{
	DWORD_PTR process, machine;
	if (!set)
		return -EINVAL;
	if (!GetProcessAffinityMask(GetCurrentProcess(), &process, &machine))
		return -ENOTSUP;
	DWORD_PTR wanted = (DWORD_PTR)set->bits_[0] & process;
	return wanted && SetThreadAffinityMask(GetCurrentThread(), wanted) ? 0 : -EINVAL;
}

int moirai_os_cpu_current(void)
{
	return (int)GetCurrentProcessorNumber();
}

unsigned moirai_os_cpus_usable(void)
{
	moirai_cpuset set;
	unsigned cpus = moirai_os_affinity_get(&set) == 0 ? moirai_cpuset_count(&set) : 1;
	return cpus > 0 ? cpus : 1;
}

/* --- memory --- */

size_t moirai_os_page_size(void)
{
	SYSTEM_INFO info;
	GetSystemInfo(&info);
	return info.dwPageSize;
}

static bool page_multiple(size_t bytes)
{
	return bytes > 0 && (bytes & (moirai_os_page_size() - 1)) == 0;
}

/*
 * A reservation can only be returned whole, so its ends cannot be cut off: reserve more to learn of
 * an aligned place, return it, and take exactly that place. Another thread may be faster; again.
 */
static char *map_aligned(size_t size_bytes, size_t alignment)
{
	enum { TRIES = 64 };
	for (int i = 0; i < TRIES; i++) {
		char *base =
			VirtualAlloc(NULL, size_bytes + alignment, MEM_RESERVE, PAGE_READWRITE);
		if (!base)
			return NULL;
		uintptr_t up = ((uintptr_t)base + alignment - 1) & ~(uintptr_t)(alignment - 1);
		VirtualFree(base, 0, MEM_RELEASE);
		base = VirtualAlloc(
			(void *)up, size_bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
		if (base)
			return base;
	}
	return NULL;
}

int moirai_os_map(void **address, size_t size_bytes, size_t alignment, unsigned flags)
{
	const size_t granule = 65536; /* what VirtualAlloc aligns to */
	bool power = alignment >= moirai_os_page_size() && (alignment & (alignment - 1)) == 0;
	if (!address || !page_multiple(size_bytes) || !power ||
		(flags & ~(unsigned)(MOIRAI_OS_MAP_RESERVE | MOIRAI_OS_MAP_NOHUGE)))
		return -EINVAL;
	if (size_bytes > SIZE_MAX - alignment || moirai__fault(MOIRAI_FAULT_MAP))
		return -ENOMEM;
	/* Committed pages take memory when they are touched, but count against the commit limit. */
	char *base = alignment <= granule ? VirtualAlloc(NULL, size_bytes, MEM_RESERVE | MEM_COMMIT,
						    PAGE_READWRITE)
					  : map_aligned(size_bytes, alignment);
	if (!base)
		return -ENOMEM;
	*address = base;
	return 0;
}

int moirai_os_unmap(void *address, size_t size_bytes)
{
	if (!address || !page_multiple(size_bytes))
		return -EINVAL;
	return VirtualFree(address, 0, MEM_RELEASE) ? 0 : -EINVAL;
}

int moirai_os_discard(void *address, size_t size_bytes)
{
	if (!address)
		return -EINVAL;
	if (size_bytes == 0)
		return 0;
	if (!VirtualFree(address, size_bytes, MEM_DECOMMIT))
		return -EINVAL;
	return VirtualAlloc(address, size_bytes, MEM_COMMIT, PAGE_READWRITE) ? 0 : -ENOMEM;
}

int moirai_os_guard(void *address, size_t guard_bytes, size_t stride_bytes, size_t count,
	moirai_os_guard_kind *kind)
{
	if (!address || !kind || count == 0 || !page_multiple(guard_bytes) ||
		(count > 1 && (!page_multiple(stride_bytes) || stride_bytes < guard_bytes)))
		return -EINVAL;
	*kind = MOIRAI_OS_GUARD_NONE;
	if (moirai__fault(MOIRAI_FAULT_SYSCALL))
		return -ENOMEM;
	DWORD before;
	for (size_t i = 0; i < count; i++)
		if (!VirtualProtect((char *)address + i * stride_bytes, guard_bytes, PAGE_NOACCESS,
			    &before))
			return -ENOMEM;
	*kind = MOIRAI_OS_GUARD_PROTECT;
	return 0;
}

/* --- the rest --- */

int moirai_os_random(void *buffer, size_t size_bytes)
{
	unsigned char *at = buffer;
	if (!buffer && size_bytes)
		return -EINVAL;
	if (moirai__fault(MOIRAI_FAULT_SYSCALL))
		return -EIO;
	while (size_bytes > 0) {
		ULONG piece = size_bytes < 1u << 30 ? (ULONG)size_bytes : 1u << 30;
		if (BCryptGenRandom(NULL, at, piece, BCRYPT_USE_SYSTEM_PREFERRED_RNG) != 0)
			return -EIO;
		at += piece;
		size_bytes -= piece;
	}
	return 0;
}

int moirai_os_write(int fd, const void *buffer, size_t size_bytes)
{
	const char *at = buffer;
	if (!buffer && size_bytes)
		return -EINVAL;
	while (size_bytes > 0) {
		int n = _write(fd, at, size_bytes < INT_MAX ? (unsigned)size_bytes : INT_MAX);
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		at += n;
		size_bytes -= (size_t)n;
	}
	return 0;
}
