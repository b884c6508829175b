use super::*;
use crate::spool::testing::Memory;

const FRAME: usize = 100;
const ROOM: usize = FRAME + OVERHEAD_BYTES;
const BOOT: BootId = BootId([1; 16]);

fn frame(letter: char) -> Vec<u8> {
    vec![letter as u8; FRAME]
}

fn push(queue: &mut Queue, letters: &str) {
    for letter in letters.chars() {
        let key = queue.number();
        queue.push(key, frame(letter), None);
    }
}

fn queue(letters: &str) -> Queue {
    let mut queue = Queue::new(BOOT, None, 3 * ROOM);
    push(&mut queue, letters);
    queue
}

fn spooled(disk: &Memory, boot: BootId) -> Queue {
    let spool = Spool::open(Box::new(disk.clone()), 0, boot).unwrap();
    Queue::new(boot, Some(spool), 3 * ROOM)
}

fn letter(waiting: &Waiting) -> char {
    char::from(waiting.frame[0])
}

/// First byte of each frame in the order of sending when every one is acknowledged.
fn drain(queue: &mut Queue) -> String {
    let mut letters = String::new();
    while let Some(waiting) = queue.pick() {
        letters.push(letter(&waiting));
        queue.forget(waiting.key);
    }
    assert_eq!((queue.bytes, queue.len(), queue.is_empty()), (0, 0, true));
    letters
}

#[test]
fn without_a_spool_the_oldest_are_dropped_and_counted() {
    let mut queue = queue("abc");
    assert_eq!((queue.len(), queue.dropped()), (3, 0));
    push(&mut queue, "de");
    assert_eq!((queue.len(), queue.dropped(), queue.take_news().len()), (3, 2, 2));
    let key = queue.number();
    queue.push(key, vec![b'X'; 10 * ROOM], None);
    assert_eq!((queue.len(), queue.dropped()), (1, 5));
    push(&mut queue, "f");
    assert_eq!(drain(&mut queue), "f");
}

#[test]
fn the_newest_goes_first_once_and_then_the_oldest() {
    for mut queue in [queue("abc"), {
        let mut queue = spooled(&Memory::default(), BOOT);
        push(&mut queue, "abc");
        queue
    }] {
        let newest = queue.pick().unwrap();
        assert_eq!((letter(&newest), newest.fresh, newest.key.seq), ('c', true, 2));
        // It was not acknowledged.
        let oldest = queue.pick().unwrap();
        assert_eq!((letter(&oldest), oldest.fresh), ('a', false));
        queue.forget(oldest.key);
        push(&mut queue, "d");
        assert!(queue.has_fresh());
        assert_eq!(drain(&mut queue), "dbc");
    }
}

#[test]
fn a_report_that_takes_its_turn_is_no_newest_one() {
    let mut queue = queue("ab");
    let key = queue.number();
    queue.add(key, frame('u'), Some(Ticket::default()));
    assert_eq!(letter(&queue.pick().unwrap()), 'b', "the newest");
    for expected in "abu".chars() {
        let waiting = queue.pick().unwrap();
        assert_eq!(letter(&waiting), expected);
        assert_eq!(queue.forget(waiting.key).is_some(), expected == 'u', "its events are delivered with it");
    }
}

#[test]
fn an_acknowledgement_is_only_for_the_report_it_was_meant_for() {
    let mut queue = queue("abc");
    queue.pick();
    let sent = queue.pick().unwrap();
    assert_eq!(letter(&sent), 'a');
    push(&mut queue, "d");
    assert_eq!(queue.len(), 3, "a was dropped while it was on its way");
    queue.forget(sent.key);
    assert_eq!(drain(&mut queue), "dbc");
}

#[test]
fn parts_take_the_place_of_the_whole() {
    let mut queue = queue("a");
    let whole = queue.pick().unwrap();
    let parts = [(queue.number(), frame('1')), (queue.number(), frame('2'))];
    queue.replace(whole.key, parts);
    assert_eq!(drain(&mut queue), "12");
}

#[test]
fn a_full_disk_is_said_once_and_the_memory_goes_on() {
    let disk = Memory::default();
    let mut queue = spooled(&disk, BOOT);
    push(&mut queue, "a");
    disk.set_room(Some(0));
    push(&mut queue, "bc");
    let news = queue.take_news();
    assert!(news.len() == 1 && news[0].contains("in memory only"), "{news:?}");
    assert_eq!((queue.on_disk(), queue.len()), (1, 3));
    disk.set_room(None);
    push(&mut queue, "d");
    assert_eq!(queue.take_news(), ["reports are kept on disk again"]);
    assert_eq!((queue.on_disk(), queue.len()), (4, 4), "what was in memory has moved");
    assert_eq!(drain(&mut queue), "dabc");
}

#[test]
fn reports_of_an_earlier_run_are_older_than_all_of_this_one() {
    let disk = Memory::default();
    push(&mut spooled(&disk, BOOT), "abc");
    let mut queue = spooled(&disk, BootId([2; 16]));
    disk.set_room(Some(0));
    push(&mut queue, "d");
    assert_eq!(drain(&mut queue), "dabc");
}

#[test]
fn a_spool_that_cannot_be_read_is_said_once_and_the_memory_goes_on() {
    let disk = Memory::default();
    let mut queue = spooled(&disk, BOOT);
    push(&mut queue, "a");
    disk.set_room(Some(0));
    push(&mut queue, "b");
    queue.take_news();
    disk.set_read_errors(2);
    assert_eq!(letter(&queue.pick().unwrap()), 'b', "the newest");
    assert_eq!(letter(&queue.pick().unwrap()), 'b', "a cannot be read now");
    assert_eq!(letter(&queue.pick().unwrap()), 'b');
    assert_eq!(queue.take_news().len(), 1);
    assert_eq!(drain(&mut queue), "ab");
}

fn push_usage(queue: &mut Queue, letter: char) -> Key {
    let key = queue.number();
    queue.push(key, frame(letter), Some(Ticket::default()));
    key
}

#[test]
fn usage_stays_with_its_report_until_that_is_forgotten() {
    for mut queue in [queue(""), spooled(&Memory::default(), BOOT)] {
        let whole = push_usage(&mut queue, 'a');
        push(&mut queue, "b");
        let parts = [(queue.number(), frame('1')), (queue.number(), frame('2'))];
        let [first, second] = [parts[0].0, parts[1].0];
        queue.replace(whole, parts);
        assert_eq!(queue.forget(whole), None);
        assert_eq!(queue.forget(second), None);
        assert_eq!(queue.forget(first), Some(Ticket::default()));
        assert_eq!(queue.forget(first), None);
        assert_eq!(queue.take_lost(), []);
    }
}

#[test]
fn usage_in_a_report_that_is_dropped_from_memory_is_lost() {
    let mut queue = queue("");
    let key = push_usage(&mut queue, 'a');
    push(&mut queue, "bc");
    assert_eq!(queue.take_lost(), []);
    push(&mut queue, "d");
    assert_eq!(queue.take_lost(), [Ticket::default()]);
    assert_eq!(queue.take_lost(), []);
    assert_eq!(queue.forget(key), None, "it was acknowledged too late");
}

#[test]
fn usage_in_a_report_that_the_spool_drops_is_lost() {
    let mut queue = spooled(&Memory::default(), BOOT);
    let key = push_usage(&mut queue, 'a');
    let mut pushed = 0;
    while queue.dropped() == 0 {
        assert_eq!(queue.take_lost(), []);
        assert!(pushed < 20, "the spool is bounded");
        let key = queue.number();
        queue.push(key, vec![b'X'; wire::bounds::FRAME_BYTES_MAX], None);
        pushed += 1;
    }
    assert_eq!(queue.take_lost(), [Ticket::default()]);
    assert_eq!(queue.forget(key), None);
}

#[test]
fn usage_in_a_report_that_cannot_be_read_any_more_is_lost() {
    let disk = Memory::default();
    let mut queue = spooled(&disk, BOOT);
    push_usage(&mut queue, 'a');
    push(&mut queue, "b");
    assert_eq!(queue.pick().map(|newest| letter(&newest)), Some('b'));
    disk.set_read_errors(3);
    while queue.take_lost().is_empty() {
        assert!(queue.len() == 2, "it is not given up before it is lost");
        queue.pick();
    }
    assert_eq!(drain(&mut queue), "b");
}

#[test]
fn usage_moves_with_its_report_from_memory_to_disk_and_not_to_another_run() {
    let disk = Memory::default();
    let mut queue = spooled(&disk, BOOT);
    disk.set_room(Some(0));
    let key = push_usage(&mut queue, 'a');
    disk.set_room(None);
    push(&mut queue, "b");
    assert_eq!((queue.on_disk(), queue.take_lost().len()), (2, 0));
    let mut next = spooled(&disk, BootId([2; 16]));
    assert_eq!((next.len(), next.forget(key)), (2, None), "its reader starts where the cursors are");
    assert_eq!(queue.forget(key), Some(Ticket::default()));
}
