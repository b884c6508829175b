use super::testing::Memory;
use super::*;

const A: BootId = BootId([0xaa; 16]);
const B: BootId = BootId([0xbb; 16]);

fn open(disk: &Memory, boot: BootId) -> Spool {
    Spool::open(Box::new(disk.clone()), 0, boot).unwrap()
}

/// A frame that can be told from all others.
fn frame(seq: u64, len: usize) -> Vec<u8> {
    seq.to_le_bytes().iter().copied().cycle().take(len).collect()
}

fn fill(spool: &mut Spool, seqs: std::ops::Range<u64>, len: usize) {
    seqs.for_each(|seq| spool.append(seq, &frame(seq, len)).unwrap());
}

/// Takes everything out, oldest first, and checks each frame: `a0 a1 b0`.
fn drain(spool: &mut Spool) -> String {
    let mut keys = Vec::new();
    while let Some((key, found)) = spool.read_oldest().unwrap() {
        assert_eq!(found, frame(key.seq, found.len()));
        keys.push(format!("{}{}", if key.boot == A { 'a' } else { 'b' }, key.seq));
        spool.forget(key);
    }
    keys.join(" ")
}

#[test]
fn what_was_not_acknowledged_is_there_after_a_kill_under_its_number() {
    let disk = Memory::default();
    let mut spool = open(&disk, A);
    fill(&mut spool, 0..4, 100);
    spool.forget(Key { boot: A, seq: 1 });
    // Nothing is said to the spool before it ends: that is what a kill looks like.
    drop(spool);
    let mut spool = open(&disk, B);
    fill(&mut spool, 0..2, 100);
    drop(spool);
    let mut spool = open(&disk, BootId([0xcc; 16]));
    assert_eq!((spool.len(), spool.take_damaged()), (5, 0));
    assert_eq!(drain(&mut spool), "a0 a2 a3 b0 b1");
    drop(spool);
    assert!(open(&disk, A).is_empty(), "acknowledgements are remembered as well");
}

#[test]
fn a_kill_in_the_middle_of_any_write_costs_that_record_only() {
    let disk = Memory::default();
    let mut spool = open(&disk, A);
    fill(&mut spool, 0..2, 30);
    spool.forget(Key { boot: A, seq: 0 });
    let whole = disk.with(|state| state.files[&0].clone());
    let record = HEADER_BYTES + 30;
    for len in 0..=whole.len() {
        let disk = Memory::default();
        disk.with(|state| state.files.insert(0, whole[..len].to_vec()));
        let mut spool = open(&disk, B);
        let damaged = u64::from(len % record != 0 && len != whole.len());
        assert_eq!(spool.take_damaged(), damaged, "{len}");
        // What is written next is behind whole records and found by the next run.
        fill(&mut spool, 5..6, 30);
        drop(spool);
        let mut spool = open(&disk, A);
        assert_eq!(spool.take_damaged(), 0, "{len}");
        let expected = match len {
            _ if len == whole.len() => "a1 b5",
            _ if len >= 2 * record => "a0 a1 b5",
            _ if len >= record => "a0 b5",
            _ => "b5",
        };
        assert_eq!(drain(&mut spool), expected, "{len}");
    }
}

#[test]
fn a_flipped_bit_costs_one_report_before_and_after_a_restart() {
    let flip = |disk: &Memory| disk.with(|state| state.files.get_mut(&0).unwrap()[HEADER_BYTES + 200] ^= 1);
    let disk = Memory::default();
    let mut spool = open(&disk, A);
    fill(&mut spool, 0..3, 100);
    flip(&disk);
    assert_eq!(drain(&mut spool), "a0 a2");
    assert_eq!(spool.take_damaged(), 1);

    let disk = Memory::default();
    fill(&mut open(&disk, A), 0..3, 100);
    flip(&disk);
    let mut spool = open(&disk, B);
    assert_eq!((spool.take_damaged(), drain(&mut spool).as_str()), (1, "a0 a2"));
}

#[test]
fn a_full_spool_drops_its_oldest_segment_and_counts() {
    const LEN: usize = 500_000;
    let disk = Memory::default();
    let mut spool = open(&disk, A);
    // Eight of these fit into a segment and sixteen into the spool.
    fill(&mut spool, 0..16, LEN);
    assert_eq!((spool.len(), spool.take_dropped()), (16, 0));
    fill(&mut spool, 16..17, LEN);
    assert_eq!((spool.len(), spool.take_dropped()), (9, 8));
    fill(&mut spool, 17..100, LEN);
    assert!(disk.bytes() as u64 <= SPOOL_BYTES_MIN, "{}", disk.bytes());
    let first = spool.oldest().unwrap().seq;
    assert_eq!(spool.take_dropped() + 8, first, "all that are gone were counted");
    let expected: Vec<_> = (first..100).map(|seq| format!("a{seq}")).collect();
    assert_eq!(drain(&mut spool), expected.join(" "));
    assert_eq!(disk.bytes(), 0);
}

#[test]
fn reports_that_come_and_go_need_little_room() {
    let disk = Memory::default();
    let mut spool = open(&disk, A);
    for seq in 0..5_000 {
        fill(&mut spool, seq..seq + 1, 1_000);
        spool.forget(Key { boot: A, seq });
        assert!(disk.bytes() as u64 <= IDLE_BYTES_MAX + 2_000, "{}", disk.bytes());
    }
    assert_eq!(spool.take_dropped(), 0);
}

#[test]
fn live_reports_beside_an_old_one_do_not_bring_each_other_back() {
    let disk = Memory::default();
    let mut spool = open(&disk, A);
    fill(&mut spool, 0..1, 1_000);
    for seq in 1..20_000 {
        fill(&mut spool, seq..seq + 1, 300);
        spool.forget(Key { boot: A, seq });
    }
    drop(spool);
    // Those that were done with went with the room that was needed; none is back.
    let mut spool = open(&disk, B);
    assert_eq!(drain(&mut spool), "a0");
}

#[test]
fn places_in_memory_are_bounded_too() {
    let disk = Memory::default();
    let mut spool = open(&disk, A);
    spool.pending_max = 10;
    fill(&mut spool, 0..11, 40);
    assert_eq!((spool.len(), spool.take_dropped()), (1, 10));
}

#[test]
fn a_full_disk_is_an_error_and_leaves_no_trace() {
    for no_truncate in [false, true] {
        for room in 0..(HEADER_BYTES + 50) {
            let disk = Memory::default();
            let mut spool = open(&disk, A);
            fill(&mut spool, 0..2, 50);
            disk.with(|state| (state.room, state.no_truncate) = (Some(room), no_truncate));
            assert!(spool.append(2, &frame(2, 50)).is_err());
            assert_eq!(spool.len(), 2);
            disk.with(|state| (state.room, state.no_truncate) = (None, false));
            fill(&mut spool, 3..4, 50);
            drop(spool);
            let mut spool = open(&disk, B);
            assert_eq!(drain(&mut spool), "a0 a1 a3", "{room} bytes, {no_truncate}");
        }
    }
}

#[test]
fn an_acknowledgement_that_cannot_be_noted_is_no_loss() {
    let disk = Memory::default();
    let mut spool = open(&disk, A);
    fill(&mut spool, 0..2, 50);
    disk.with(|state| state.room = Some(0));
    spool.forget(Key { boot: A, seq: 0 });
    assert_eq!(spool.oldest(), Some(Key { boot: A, seq: 1 }));
    drop(spool);
    assert_eq!(drain(&mut open(&disk, B)), "a0 a1", "sent once more under its number");
}

#[test]
fn a_reading_error_is_tried_again_and_then_costs_one_report() {
    let disk = Memory::default();
    let mut spool = open(&disk, A);
    fill(&mut spool, 0..2, 50);
    disk.with(|state| state.read_errors = 2);
    assert!(spool.read_oldest().is_err());
    assert!(spool.read_oldest().is_err());
    assert_eq!(spool.read_oldest().unwrap().unwrap().0.seq, 0);
    disk.with(|state| state.read_errors = 3);
    assert!(spool.read_oldest().is_err());
    assert!(spool.read_oldest().is_err());
    assert_eq!(spool.read_oldest().unwrap().unwrap().0.seq, 1);
    assert_eq!(spool.take_damaged(), 1);
    disk.with(|state| state.files.clear());
    assert_eq!(spool.read_oldest().unwrap(), None, "somebody deleted the files");
}

#[test]
fn a_segment_that_cannot_be_read_costs_its_reports_only() {
    let open =
        |disk: &Memory, boot| Spool::open(Box::new(disk.clone()), 4 * SEGMENT_BYTES_MAX, boot).unwrap();
    for unreadable in 0..3 {
        let disk = Memory::default();
        // Three to a segment.
        fill(&mut open(&disk, A), 0..9, FRAME_BYTES_MAX);
        disk.with(|state| state.unreadable = Some(unreadable));
        let mut spool = open(&disk, B);
        assert_eq!((spool.len(), spool.take_damaged()), (6, 1), "{unreadable}");
        spool.append(7, &frame(7, 50)).unwrap();
        let left = (0..9).filter(|seq| seq / 3 != unreadable).map(|seq| format!("a{seq} "));
        assert_eq!(drain(&mut spool), format!("{}b7", left.collect::<String>()), "{unreadable}");
        assert!(disk.with(|state| !state.files.contains_key(&unreadable)), "it is deleted in its turn");
    }
}

#[test]
fn a_frame_of_any_other_file_is_not_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool");
    let disk = || Box::new(disk::Folder::open(&path).unwrap());
    let mut spool = Spool::open(disk(), 0, A).unwrap();
    fill(&mut spool, 0..3, 100);
    std::fs::write(path.join("notes.txt"), "x").unwrap();
    std::fs::write(path.join("zz.spool"), "x").unwrap();
    drop(spool);
    let mut spool = Spool::open(disk(), 0, B).unwrap();
    assert_eq!((spool.take_damaged(), spool.len()), (0, 3));
    fill(&mut spool, 0..1, 100);
    spool.forget(Key { boot: A, seq: 0 });
    assert_eq!(drain(&mut spool), "a1 a2 b0");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join("00000000.spool"))), (0o700, 0o600));
    }
}

#[cfg(unix)]
#[test]
fn a_folder_that_is_deleted_costs_what_was_in_it_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool");
    let open = |boot| {
        let disk = super::disk::Folder::open(&path).unwrap();
        Spool::open(Box::new(disk), SPOOL_BYTES_MIN, BootId([boot; 16])).unwrap()
    };
    let mut spool = open(1);
    spool.append(0, b"gone").unwrap();
    std::fs::remove_dir_all(&path).unwrap();
    assert!(spool.append(1, b"not written").is_err(), "it would be written to nowhere");
    spool.append(2, b"kept").unwrap();
    assert_eq!(
        spool.read_oldest().unwrap().map(|(key, frame)| (key.seq, frame)),
        Some((2, b"kept".to_vec()))
    );
    assert_eq!(open(2).len(), 1, "after a restart too");
}
