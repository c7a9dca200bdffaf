// SPDX-License-Identifier: GPL-2.0
/* The part of the shim that speaks to Xen. See shim.h for contexts. */
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/pm.h>
#include <linux/syscore_ops.h>
#include <xen/interface/event_channel.h>

#include "compat.h"
#include "shim.h"

bool xcall_shim_has_xen(void)
{
	return XCALL_COMPAT_XEN;
}

bool xcall_shim_has_xen_event_channel(void)
{
	return XCALL_COMPAT_XEN_EVENT_CHANNEL;
}

bool xcall_shim_has_xen_nmi(void)
{
	return XCALL_COMPAT_XEN_NMI;
}

bool xcall_shim_has_xen_resume(void)
{
	return XCALL_COMPAT_XEN_RESUME;
}

/* doorbell/event_channel.rs says the same of xen-sys's structures. */
static_assert(sizeof(struct evtchn_alloc_unbound) == 8);
static_assert(offsetof(struct evtchn_alloc_unbound, port) == 4);
static_assert(sizeof(struct evtchn_bind_interdomain) == 12);
static_assert(offsetof(struct evtchn_bind_interdomain, remote_port) == 4);
static_assert(offsetof(struct evtchn_bind_interdomain, local_port) == 8);
static_assert(sizeof(struct evtchn_send) == 4);
static_assert(sizeof(struct evtchn_status) == 24);
static_assert(offsetof(struct evtchn_status, status) == 8);
static_assert(offsetof(struct evtchn_status, u.interdomain.port) == 20);
static_assert(sizeof(struct evtchn_close) == 4);

noinstr bool xcall_shim_xen_domain(void)
{
	return xcall_compat_xen_domain();
}

noinstr bool xcall_shim_xen_pv_domain(void)
{
	return xcall_compat_xen_pv_domain();
}

noinstr int xcall_shim_HYPERVISOR_sched_op(int cmd)
{
	return xcall_compat_sched_op(cmd);
}

noinstr int xcall_shim_HYPERVISOR_event_channel_op(int cmd, void *arg)
{
	return xcall_compat_event_channel_op(cmd, arg);
}

noinstr int xcall_shim_vcpuop_send_nmi(unsigned int cpu)
{
	return xcall_compat_vcpuop_send_nmi(cpu);
}

static noinstr irqreturn_t xcall_shim_event_channel_rung(int irq, void *dev)
{
	xcall_event_channel_rung();
	return IRQ_HANDLED;
}

/* Tells one CPU's handler from another's. */
static void *dev_of(unsigned int cpu)
{
	return (void *)(unsigned long)(cpu + 1);
}

/* Calls are made while devices suspend: IRQF_NO_SUSPEND, as the kernel's own IPIs. */
int xcall_shim_bind_evtchn_to_irqhandler(u32 port, unsigned int cpu)
{
	return xcall_compat_bind_evtchn_to_irqhandler(port, xcall_shim_event_channel_rung,
						      IRQF_NOBALANCING | IRQF_PERCPU |
						      IRQF_NO_THREAD | IRQF_NO_SUSPEND,
						      "xcall", dev_of(cpu));
}

void xcall_shim_unbind_from_irqhandler(int irq, unsigned int cpu)
{
	xcall_compat_unbind_from_irqhandler(irq, dev_of(cpu));
}

int xcall_shim_irq_set_affinity(int irq, unsigned int cpu)
{
	return irq_set_affinity(irq, cpumask_of(cpu));
}

/*
 * A guest that was saved and restored has lost its event channels. Before any
 * other CPU goes on, those are marked; they are made anew as soon as that may
 * sleep. Linux 7.3 has no way back from xen_resume_notifier_register(), so a
 * device of our own hears of it.
 */
static void xcall_shim_syscore_resume(XCALL_COMPAT_SYSCORE_ARG)
{
	xcall_xen_woken();
}

static struct syscore_ops xcall_xen_syscore_ops = {
	.resume = xcall_shim_syscore_resume,
};

XCALL_COMPAT_SYSCORE(xcall_xen_syscore, xcall_xen_syscore_ops);

static int xcall_shim_restored(struct device *dev)
{
	xcall_xen_restored();
	return 0;
}

static const struct dev_pm_ops xcall_xen_pm_ops = {
	.restore_noirq = xcall_shim_restored,
};

static struct platform_driver xcall_xen_driver = {
	.driver = {
		.name = "xcall",
		.pm = &xcall_xen_pm_ops,
	},
};

static struct platform_device *xcall_xen_device;

int xcall_shim_register_xen_resume(void)
{
	int ret = xcall_compat_platform_driver_register(&xcall_xen_driver);

	if (ret)
		return ret;
	xcall_xen_device = platform_device_register_simple("xcall", PLATFORM_DEVID_NONE, NULL, 0);
	if (IS_ERR(xcall_xen_device)) {
		platform_driver_unregister(&xcall_xen_driver);
		return PTR_ERR(xcall_xen_device);
	}
	xcall_compat_register_syscore(xcall_xen_syscore);
	return 0;
}

void xcall_shim_unregister_xen_resume(void)
{
	xcall_compat_unregister_syscore(xcall_xen_syscore);
	platform_device_unregister(xcall_xen_device);
	platform_driver_unregister(&xcall_xen_driver);
}
