// SPDX-License-Identifier: GPL-2.0
//! Programs to be spoilt reach the module: the loader takes them, and DIF's validation some of them.

use dtrace_ioctl_fuzz::programs;
use dtrace_ioctl_fuzz::random::Random;

#[test]
fn programs_are_loaded() {
    let good = [
        programs::busy(),
        programs::few(),
        programs::slow(),
        programs::ending(),
    ];
    for bytes in programs::all().iter().chain(&good) {
        dof::load(bytes).expect("a program in order");
    }
}

#[test]
fn spoilt_objects_lie_in_files_in_order() {
    let mut random = Random::new(1);
    let loaded = (0..1000).filter(|_| dof::load(&programs::spoilt(&mut random)).is_ok());
    assert!(loaded.count() > 900);
}
