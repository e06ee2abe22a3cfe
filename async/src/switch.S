/* SPDX-License-Identifier: MIT */
/*
 * What the context switch needs in assembly; see <moirai/async/internal/switch.h>.
 *
 * moirai__switch_entry: a fresh context starts here, on an empty stack with `to` in a register. The
 * return address is declared undefined, so that debuggers end the back-trace here instead of
 * reading on. On x86-64 it leaves by a jump with a return address laid down by hand, and the C
 * function leaves by a tail call: a call here and one there would stand on the processor's return
 * stack without their returns, and every return of the context that is switched to next would be
 * mispredicted (park + wake by a new task: 89 ns with, 58 without; same run, loaded Zen 5 VM).
 *
 * This file carries no GNU property note on purpose: the linker then does not mark the library as
 * compatible with shadow stacks, which it is not.
 */
#if defined(__x86_64__) && !defined(_WIN32)

	.text
	.globl	moirai__switch_entry
	.hidden	moirai__switch_entry
	.type	moirai__switch_entry, @function
	.p2align 4
moirai__switch_entry:
	.cfi_startproc
	.cfi_undefined rip
	endbr64
	movq	%rsi, %rdi
	leaq	1f(%rip), %rax
	pushq	%rax
	.cfi_adjust_cfa_offset 8
	jmp	moirai__fiber_main
	.cfi_adjust_cfa_offset -8
	nop				/* unwinders look up the address before the return address */
1:	call	moirai__fiber_returned
	ud2
	.cfi_endproc
	.size	moirai__switch_entry, .-moirai__switch_entry

#elif defined(__aarch64__) && !defined(_WIN32)

	.text
	.globl	moirai__switch_entry
	.hidden	moirai__switch_entry
	.type	moirai__switch_entry, %function
	.p2align 4
moirai__switch_entry:
	.cfi_startproc
	.cfi_undefined x30
	hint	#36			/* bti j */
	mov	x0, x1
	bl	moirai__fiber_main
	bl	moirai__fiber_returned
	brk	#1
	.cfi_endproc
	.size	moirai__switch_entry, .-moirai__switch_entry

#elif defined(__i386__) && !defined(_WIN32)

/*
 * Position-independent code has no cheap way to name its own address inline, so the switch is a
 * function here: the return address on the stack is where the context goes on. It is left by a
 * jump all the same.
 */
	.text
	.globl	moirai__switch
	.type	moirai__switch, @function
	.p2align 4
moirai__switch:
	.cfi_startproc
	movl	4(%esp), %eax		/* from */
	movl	8(%esp), %edx		/* to */
	pushl	%ebx
	.cfi_adjust_cfa_offset 4
	pushl	%esi
	.cfi_adjust_cfa_offset 4
	pushl	%edi
	.cfi_adjust_cfa_offset 4
	movl	$0, 8(%eax)		/* no fresh context any more */
	movl	%esp, (%eax)
	movl	%ebp, 4(%eax)
	movl	8(%edx), %ecx
	movl	(%edx), %esp
	movl	4(%edx), %ebp
	testl	%ecx, %ecx
	jnz	1f
	popl	%edi
	.cfi_adjust_cfa_offset -4
	popl	%esi
	.cfi_adjust_cfa_offset -4
	popl	%ebx
	.cfi_adjust_cfa_offset -4
	popl	%ecx
	.cfi_adjust_cfa_offset -4
	jmp	*%ecx
	.cfi_adjust_cfa_offset 16
1:	jmp	*%ecx			/* moirai__switch_entry, `to` in edx */
	.cfi_endproc
	.size	moirai__switch, .-moirai__switch

	.globl	moirai__switch_entry
	.hidden	moirai__switch_entry
	.type	moirai__switch_entry, @function
	.p2align 4
moirai__switch_entry:
	.cfi_startproc
	.cfi_undefined eip
	subl	$12, %esp
	pushl	%edx
	call	moirai__fiber_main
	call	moirai__fiber_returned
	ud2
	.cfi_endproc
	.size	moirai__switch_entry, .-moirai__switch_entry

#elif defined(__x86_64__) && defined(_WIN32)

/*
 * 64-bit Windows: rdi, rsi and xmm6-15 are callee-saved as well, and the system keeps the stack's
 * bounds in the thread's environment block: StackBase gs:[8], StackLimit gs:[0x10] (the guard page
 * above it commits the stack page by page), DeallocationStack gs:[0x1478].
 */
	.text
	.globl	moirai__switch
	.def	moirai__switch; .scl 2; .type 32; .endef
	.p2align 4
moirai__switch:
	pushq	%rbx
	pushq	%rsi
	pushq	%rdi
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	pushq	%gs:0x8
	pushq	%gs:0x10
	pushq	%gs:0x1478
	subq	$168, %rsp
	movups	%xmm6, (%rsp)
	movups	%xmm7, 16(%rsp)
	movups	%xmm8, 32(%rsp)
	movups	%xmm9, 48(%rsp)
	movups	%xmm10, 64(%rsp)
	movups	%xmm11, 80(%rsp)
	movups	%xmm12, 96(%rsp)
	movups	%xmm13, 112(%rsp)
	movups	%xmm14, 128(%rsp)
	movups	%xmm15, 144(%rsp)
	movq	%rsp, (%rcx)
	movq	%rbp, 8(%rcx)
	movq	$0, 16(%rcx)		/* no fresh context any more */
	movq	16(%rdx), %rax
	movq	(%rdx), %rsp
	movq	8(%rdx), %rbp
	testq	%rax, %rax
	jnz	1f
	movups	(%rsp), %xmm6
	movups	16(%rsp), %xmm7
	movups	32(%rsp), %xmm8
	movups	48(%rsp), %xmm9
	movups	64(%rsp), %xmm10
	movups	80(%rsp), %xmm11
	movups	96(%rsp), %xmm12
	movups	112(%rsp), %xmm13
	movups	128(%rsp), %xmm14
	movups	144(%rsp), %xmm15
	addq	$168, %rsp
	popq	%gs:0x1478
	popq	%gs:0x10
	popq	%gs:0x8
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rdi
	popq	%rsi
	popq	%rbx
	popq	%rcx
	jmpq	*%rcx
1:	jmpq	*%rax			/* moirai__switch_entry, `to` in rdx */

	.globl	moirai__switch_entry
	.def	moirai__switch_entry; .scl 2; .type 32; .endef
	.p2align 4
	.seh_proc moirai__switch_entry
moirai__switch_entry:
	.seh_endprologue
	movq	(%rsp), %rax		/* the bounds, put there by moirai__fiber_prepare */
	movq	%rax, %gs:0x8
	movq	8(%rsp), %rax
	movq	%rax, %gs:0x10
	movq	%rax, %gs:0x1478
	movq	%rdx, %rcx
	subq	$32, %rsp		/* the callee's home space */
	call	moirai__fiber_main
	call	moirai__fiber_returned
	ud2
	.seh_endproc

#endif

#if defined(__linux__) && defined(__ELF__)
	.section .note.GNU-stack, "", %progbits
#endif
