// SPDX-License-Identifier: GPL-2.0
//! CPU sets against the standard library's sets.

use proptest::prelude::*;
use std::collections::BTreeSet;
use xcall::{words_for, CpuId, CpuList, CpuSet, CpuSetMut, NAMED_CPUS};

#[derive(Clone, Debug)]
enum Action {
    Insert(u32),
    Clear,
}

fn action(cpus: u32) -> impl Strategy<Value = Action> {
    // Some past the end of the words: left out.
    prop_oneof![
        30 => (0..cpus + 70).prop_map(Action::Insert),
        1 => Just(Action::Clear),
    ]
}

fn actions() -> impl Strategy<Value = (u32, Vec<Action>)> {
    (1u32..4097).prop_flat_map(|cpus| (Just(cpus), prop::collection::vec(action(cpus), 0..200)))
}

proptest! {
    #[test]
    fn a_set_is_a_set((cpus, actions) in actions()) {
        let mut words = vec![0; words_for(cpus)];
        let room = words.len() as u32 * 64;
        let mut set = CpuSetMut::new(&mut words);
        let mut model = BTreeSet::new();
        for action in actions {
            match action {
                Action::Insert(cpu) => {
                    set.insert(CpuId(cpu));
                    if cpu < room {
                        model.insert(cpu);
                    }
                }
                Action::Clear => {
                    set.clear();
                    model.clear();
                }
            }
            let set = set.as_set();
            prop_assert_eq!(set.len() as usize, model.len());
            prop_assert_eq!(set.is_empty(), model.is_empty());
        }
        let set = set.as_set();
        prop_assert!(set.iter().map(|c| c.0).eq(model.iter().copied()));
        for cpu in 0..room + 70 {
            prop_assert_eq!(set.contains(CpuId(cpu)), model.contains(&cpu));
        }
        prop_assert!(CpuSet::new(set.words()).iter().eq(set.iter()));
    }

    #[test]
    fn a_list_counts_all_and_names_the_first(cpus in prop::collection::vec(any::<u32>(), 0..30)) {
        let mut list = CpuList::new();
        for cpu in &cpus {
            list.push(CpuId(*cpu));
        }
        prop_assert_eq!(list.count() as usize, cpus.len());
        prop_assert_eq!(list.is_empty(), cpus.is_empty());
        let first = cpus.iter().copied().take(NAMED_CPUS);
        prop_assert!(list.named().map(|c| c.0).eq(first.clone()));
        let mut text = first.map(|c| format!("CPU{c}")).collect::<Vec<_>>().join(",");
        if cpus.len() > NAMED_CPUS {
            text += &format!(" and {} more", cpus.len() - NAMED_CPUS);
        }
        prop_assert_eq!(list.to_string(), text);
    }
}
