// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel-facing half of kernel-compat: structure layouts, inline functions
 * and flag values, which Rust code built apart from the kernel cannot know.
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "glue.h"

/* A registered device. */
struct kernel_compat_misc {
	struct miscdevice misc;
	const struct kernel_compat_misc_ops *ops;
	void *registration;
};

/* An open file: it outlives the registration, so it holds its own copy of ops. */
struct kernel_compat_misc_file {
	const struct kernel_compat_misc_ops *ops;
	void *private;
};

static gfp_t gfp_of(unsigned int flags)
{
	gfp_t gfp = GFP_KERNEL;

	if (flags & KERNEL_COMPAT_GFP_ATOMIC)
		gfp = GFP_ATOMIC;
	if (flags & KERNEL_COMPAT_GFP_NOWAIT)
		gfp = GFP_NOWAIT;
	if (flags & KERNEL_COMPAT_GFP_ZERO)
		gfp |= __GFP_ZERO;
	return gfp;
}

void *kernel_compat_alloc(size_t size, unsigned int flags, bool large)
{
	return large ? kvmalloc(size, gfp_of(flags)) : kmalloc(size, gfp_of(flags));
}

void kernel_compat_free(const void *object)
{
	kvfree(object);
}

unsigned long kernel_compat_copy_from_user(void *to, const void *from, unsigned long len)
{
	return copy_from_user(to, (const void __user *)from, len);
}

unsigned long kernel_compat_copy_to_user(void *to, const void *from, unsigned long len)
{
	return copy_to_user((void __user *)to, from, len);
}

unsigned int kernel_compat_file_flags(const void *file)
{
	return READ_ONCE(((const struct file *)file)->f_flags);
}

static int kernel_compat_misc_open(struct inode *inode, struct file *file)
{
	/* misc_open() left the device here. */
	struct kernel_compat_misc *dev =
		container_of(file->private_data, struct kernel_compat_misc, misc);
	struct kernel_compat_misc_file *open_file;
	int ret;

	ret = generic_file_open(inode, file);
	if (ret)
		return ret;
	open_file = kzalloc(sizeof(*open_file), GFP_KERNEL);
	if (!open_file)
		return -ENOMEM;
	open_file->ops = dev->ops;
	ret = dev->ops->open(dev->registration, file, &open_file->private);
	if (ret) {
		kfree(open_file);
		return ret;
	}
	file->private_data = open_file;
	return 0;
}

static long kernel_compat_misc_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct kernel_compat_misc_file *open_file = file->private_data;

	if (!open_file->ops->ioctl)
		return -ENOTTY;
	return open_file->ops->ioctl(open_file->private, file, cmd, arg);
}

static int kernel_compat_misc_release(struct inode *inode, struct file *file)
{
	struct kernel_compat_misc_file *open_file = file->private_data;

	open_file->ops->release(open_file->private, file);
	kfree(open_file);
	return 0;
}

static const struct file_operations kernel_compat_misc_fops = {
	.owner = THIS_MODULE,
	.open = kernel_compat_misc_open,
	.unlocked_ioctl = kernel_compat_misc_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.release = kernel_compat_misc_release,
};

int kernel_compat_misc_register(const char *name, const struct kernel_compat_misc_ops *ops,
				void *registration, void **misc)
{
	struct kernel_compat_misc *dev = kzalloc(sizeof(*dev), GFP_KERNEL);
	int ret;

	if (!dev)
		return -ENOMEM;
	dev->ops = ops;
	dev->registration = registration;
	dev->misc.minor = MISC_DYNAMIC_MINOR;
	dev->misc.name = name;
	dev->misc.fops = &kernel_compat_misc_fops;
	ret = misc_register(&dev->misc);
	if (ret) {
		kfree(dev);
		return ret;
	}
	*misc = dev;
	return 0;
}

void kernel_compat_misc_deregister(void *misc)
{
	struct kernel_compat_misc *dev = misc;

	misc_deregister(&dev->misc);
	kfree(dev);
}
