//! One-time codes: each makes one device, within its hour.

use crate::{Rig, profile};
use store::{ENROLL_CODE_MS, ENROLL_CODES_MAX, Error};

const NOW: i64 = 1_795_343_922_420;

#[test]
fn a_code_makes_one_device_and_is_used_up() {
    let rig = Rig::new(NOW);
    let made = rig.store.add_enroll_code([7; 32], profile(""), NOW).unwrap();
    assert_eq!((made.used_ms, made.expires_ms), (None, NOW + ENROLL_CODE_MS));
    assert_eq!(rig.store.enroll([8; 32], "nas", [9; 32], NOW).unwrap(), None);
    let id = rig.store.enroll([7; 32], "nas", [9; 32], NOW + 5).unwrap().unwrap();
    assert_eq!(rig.store.device_by_key(&[9; 32]), Some(id));
    let view = rig.store.device(id).unwrap();
    assert_eq!((view.profile.name.as_str(), view.profile.device_type.as_str()), ("nas", "server"));
    assert_eq!(rig.store.enroll([7; 32], "nas", [10; 32], NOW + 6).unwrap(), None);
    let codes = rig.store.enroll_codes().unwrap();
    assert_eq!((codes.len(), codes[0].used_ms, codes[0].device), (1, Some(NOW + 5), Some(id)));
    let rig = rig.reopen(NOW);
    assert_eq!(rig.store.device_by_key(&[9; 32]), Some(id));
    rig.store.delete_device(id).unwrap();
    assert_eq!(rig.store.enroll_codes().unwrap()[0].device, None);
    assert_eq!(rig.store.enroll([7; 32], "nas", [10; 32], NOW + 7).unwrap(), None);
}

#[test]
fn a_code_ends_after_its_hour_or_when_it_is_withdrawn() {
    let rig = Rig::new(NOW);
    rig.store.add_enroll_code([7; 32], profile(""), NOW).unwrap();
    assert_eq!(rig.store.enroll([7; 32], "nas", [9; 32], NOW + ENROLL_CODE_MS).unwrap(), None);
    let code = rig.store.add_enroll_code([8; 32], profile(""), NOW).unwrap();
    rig.store.delete_enroll_code(code.id).unwrap();
    assert!(matches!(rig.store.delete_enroll_code(code.id), Err(Error::NotFound { .. })));
    assert_eq!(rig.store.enroll([8; 32], "nas", [9; 32], NOW).unwrap(), None);
    assert_eq!(rig.store.devices().len(), 1);
}

#[test]
fn a_name_that_is_taken_gets_a_number_and_one_that_was_chosen_wins() {
    let rig = Rig::new(NOW);
    let name = |hash: u8, chosen: &str, own: &str| {
        rig.store.add_enroll_code([hash; 32], profile(chosen), NOW).unwrap();
        let id = rig.store.enroll([hash; 32], own, [hash; 32], NOW).unwrap().unwrap();
        rig.store.device(id).unwrap().profile.name
    };
    assert_eq!(name(2, "", "one"), "one-2");
    assert_eq!(name(3, "", "one"), "one-3");
    assert_eq!(name(4, "cellar", "one"), "cellar");
}

#[test]
fn there_is_a_bound_of_codes() {
    let rig = Rig::new(NOW);
    for n in 0..ENROLL_CODES_MAX {
        let mut hash = [0; 32];
        hash[0] = n as u8;
        rig.store.add_enroll_code(hash, profile(""), NOW).unwrap();
    }
    assert!(matches!(rig.store.add_enroll_code([255; 32], profile(""), NOW), Err(Error::Conflict { .. })));
    rig.store.add_enroll_code([255; 32], profile(""), NOW + ENROLL_CODE_MS).unwrap();
}
