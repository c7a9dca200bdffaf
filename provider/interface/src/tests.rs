// SPDX-License-Identifier: GPL-2.0
//! Every structure survives the way into bytes and back, and every byte of it counts.

use crate::{
    accounting, argument, buffer, conf, dif, dof, probe, provider, record, refusal, status, Plain,
};

fn survives<T: Plain + PartialEq + core::fmt::Debug>() {
    let mut bytes = [0_u8; 512];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = (at % 251) as u8 ^ 0xa5;
    }
    let value = T::from_bytes(&bytes).expect("there are enough bytes");
    let mut copy = [0_u8; 512];
    value.to_bytes(&mut copy).expect("there is room");
    assert_eq!(copy[..T::SIZE], bytes[..T::SIZE], "{value:?}");
    assert!(
        copy[T::SIZE..].iter().all(|byte| *byte == 0),
        "{value:?} writes beyond its size"
    );
    for bit in 0..T::SIZE * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_ne!(
            T::from_bytes(&bytes).as_ref(),
            Some(&value),
            "bit {bit} does not count"
        );
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    assert_eq!(T::from_bytes(&bytes[..T::SIZE - 1]), None);
    assert_eq!(value.to_bytes(&mut copy[..T::SIZE - 1]), None);
    assert_eq!(T::from_bytes(&[0; 512]), Some(T::ZERO));
}

#[test]
fn structures_survive() {
    survives::<accounting::Accounting>();
    survives::<argument::ArgumentDescription>();
    survives::<buffer::BufferDescription>();
    survives::<conf::Configuration>();
    survives::<dif::DifType>();
    survives::<dif::Variable>();
    survives::<dof::ActionDescription>();
    survives::<dof::DifoHeader>();
    survives::<dof::EcbDescription>();
    survives::<dof::Header>();
    survives::<dof::OptionDescription>();
    survives::<dof::ProbeDescription>();
    survives::<dof::Section>();
    survives::<probe::ProbeDescription>();
    survives::<provider::ProviderDescription>();
    survives::<record::AggregationDescription>();
    survives::<record::EnabledProbeDescription>();
    survives::<record::FormatDescription>();
    survives::<record::RecordDescription>();
    survives::<refusal::Refusal>();
    survives::<status::Status>();
}
