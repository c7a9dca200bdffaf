/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What kernel-compat's Rust side (glue.rs) asks of the kernel it is built for.
 * Linked into each module; nothing here is exported.
 */
#ifndef KERNEL_COMPAT_GLUE_H
#define KERNEL_COMPAT_GLUE_H

#include <linux/types.h>

/* Bits of the flags argument of kernel_compat_alloc(); alloc.rs has the same. */
#define KERNEL_COMPAT_GFP_ATOMIC	0x1
#define KERNEL_COMPAT_GFP_NOWAIT	0x2
#define KERNEL_COMPAT_GFP_ZERO		0x4

/* glue.rs has the same as struct MiscOps. */
struct kernel_compat_misc_ops {
	int (*open)(void *registration, void *file, void **private);
	long (*ioctl)(void *private, void *file, unsigned int cmd, unsigned long arg);
	void (*release)(void *private, void *file);
};

void *kernel_compat_alloc(size_t size, unsigned int flags, bool large);
void kernel_compat_free(const void *object);
unsigned long kernel_compat_copy_from_user(void *to, const void *from, unsigned long len);
unsigned long kernel_compat_copy_to_user(void *to, const void *from, unsigned long len);
unsigned int kernel_compat_file_flags(const void *file);
int kernel_compat_misc_register(const char *name, const struct kernel_compat_misc_ops *ops,
				void *registration, void **misc);
void kernel_compat_misc_deregister(void *misc);

#endif
