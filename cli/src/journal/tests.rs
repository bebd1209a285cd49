use std::collections::BTreeMap;

use proptest::prelude::*;
use tintype_model::{ImageKey, UserId};
use uuid::Uuid;

use super::*;

const STATES: [FileState; 5] =
    [FileState::Registered, FileState::Uploaded, FileState::Ready, FileState::Rejected, FileState::Gone];

fn content(number: u8) -> Content {
    Sha256::digest([number]).into()
}

fn title(number: u8) -> Title {
    Title::parse(&format!("folder/{number}.jpg")).unwrap()
}

fn image(number: u16) -> ImageId {
    let uuid = |number: u128| Uuid::from_u128(number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
    ImageId { owner: UserId::from_uuid(uuid(1)), key: ImageKey::from_uuid(uuid(u128::from(number) + 2)) }
}

fn stamp_of(number: u8) -> Stamp {
    first_16(&Sha256::digest([number, 1]))
}

fn batch(key: &str) -> Batch {
    Batch { key: key.into(), at: now(), body: r#"{"images": [ ]}"#.into(), stamps: vec![None, Some([1; 16])] }
}

/// An action of a run on the file with this number.
#[derive(Debug, Clone, Copy)]
enum Act {
    Register(u8),
    Become(u8, FileState),
    See(u8),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let one = prop_oneof![
        (0..6_u8).prop_map(Act::Register),
        (0..6_u8, 1..5_usize).prop_map(|(file, state)| Act::Become(file, STATES[state])),
        (0..6_u8).prop_map(Act::See),
    ];
    prop::collection::vec(one, 1..40)
}

/// Does it to a journal, and notes after each line how long the file is and what is known then.
type Told = BTreeMap<u8, Option<KnownFile>>;

fn told(journal: &Journal) -> Told {
    (0..6).map(|file| (file, journal.known(content(file), &title(file)))).collect()
}

fn act(journal: &mut Journal, acts: &[Act]) -> Vec<(u64, Told)> {
    let mut after = vec![(0, Told::new())];
    after[0].1 = told(journal);
    let mut ids: BTreeMap<u8, ImageId> = BTreeMap::new();
    for (number, one) in acts.iter().enumerate() {
        match *one {
            Act::Register(file) => {
                let id = image(number as u16);
                ids.insert(file, id);
                let made = [(content(file), title_digest(&title(file)), Some(stamp_of(file)), id)];
                journal.answered("key", &made).unwrap();
            }
            Act::Become(file, state) => {
                let Some(&id) = ids.get(&file) else { continue };
                let reason = (state == FileState::Rejected).then_some("why\nnot");
                journal.became(id, state, reason).unwrap();
            }
            Act::See(file) => journal.saw(content(file), &title(file), stamp_of(file + 100)).unwrap(),
        }
        after.push((journal.file.metadata().unwrap().len(), told(journal)));
    }
    after
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_journal_cut_off_anywhere_knows_what_its_whole_lines_say(acts in acts(), cut in 0.0..1.0_f64) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let after = act(&mut Journal::open_at(&path, false).unwrap(), &acts);
        let length = after.last().unwrap().0;
        let cut = (length as f64 * cut) as u64;
        OpenOptions::new().write(true).open(&path).unwrap().set_len(cut).unwrap();
        let mut journal = Journal::open_at(&path, false).unwrap();
        // Registrations take two lines, of which the second says nothing more of the image.
        let known = after.iter().rev().find(|(length, _)| *length <= cut).unwrap();
        let next = after.iter().find(|(length, _)| *length > cut);
        let now = told(&journal);
        prop_assert!(now == known.1 || next.is_some_and(|next| now == next.1), "{now:?}");
        // And it goes on.
        journal.answered("key", &[(content(9), [9; 16], None, image(999))]).unwrap();
        drop(journal);
        prop_assert_eq!(Journal::open_at(&path, false).unwrap().state_of(image(999)), Some(FileState::Registered));
    }

    #[test]
    fn a_journal_written_anew_says_the_same(acts in acts()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let mut journal = Journal::open_at(&path, false).unwrap();
        act(&mut journal, &acts);
        journal.begin(&batch("open")).unwrap();
        let before = told(&journal);
        drop(journal);
        let mut journal = Journal::open_at(&path, false).unwrap();
        journal.write_anew(&path).unwrap();
        prop_assert_eq!(told(&journal), before.clone());
        drop(journal);
        let mut journal = Journal::open_at(&path, false).unwrap();
        prop_assert_eq!(told(&journal), before);
        let unanswered = journal.take_unanswered();
        prop_assert_eq!(unanswered.len(), 1);
        prop_assert_eq!(&unanswered[0].body, &batch("open").body);
        prop_assert_eq!(&unanswered[0].stamps, &batch("open").stamps);
    }

    #[test]
    fn any_bytes_are_a_journal(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        fs::write(&path, bytes).unwrap();
        let mut journal = Journal::open_at(&path, false).unwrap();
        journal.answered("key", &[(content(1), title_digest(&title(1)), None, image(1))]).unwrap();
        drop(journal);
        let journal = Journal::open_at(&path, false).unwrap();
        prop_assert_eq!(journal.state_of(image(1)), Some(FileState::Registered));
    }
}

fn open(copies: bool) -> (tempfile::TempDir, Journal) {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open_at(&folder.path().join("journal.jsonl"), copies).unwrap();
    (folder, journal)
}

#[test]
fn a_content_is_known_under_any_title_unless_copies_are_wanted() {
    for copies in [false, true] {
        let (_folder, mut journal) = open(copies);
        journal.answered("key", &[(content(1), title_digest(&title(1)), None, image(1))]).unwrap();
        assert!(journal.known(content(1), &title(1)).is_some_and(|known| known.same_title));
        assert_eq!(journal.known(content(1), &title(2)).map(|known| known.same_title), (!copies).then_some(false));
        assert_eq!(journal.known(content(2), &title(1)), None);
    }
}

#[test]
fn a_file_is_recognised_from_outside_once_it_is_uploaded_and_until_its_image_goes() {
    let (_folder, mut journal) = open(false);
    journal.answered("key", &[(content(1), title_digest(&title(1)), Some(stamp_of(1)), image(1))]).unwrap();
    assert_eq!(journal.finished(stamp_of(1)), None);
    for state in [FileState::Uploaded, FileState::Ready, FileState::Rejected] {
        journal.became(image(1), state, None).unwrap();
        assert_eq!(journal.finished(stamp_of(1)), Some(content(1)));
    }
    assert_eq!(journal.finished(stamp_of(2)), None);
    journal.became(image(1), FileState::Gone, None).unwrap();
    assert_eq!(journal.finished(stamp_of(1)), None);
}

#[test]
fn a_batch_is_repeated_until_its_answer_is_noted_or_a_day_has_passed() {
    let (folder, mut journal) = open(false);
    let path = folder.path().join("journal.jsonl");
    journal.begin(&batch("answered")).unwrap();
    journal.begin(&batch("open")).unwrap();
    journal.begin(&Batch { at: now() - 24 * 3600, ..batch("old") }).unwrap();
    journal.answered("answered", &[]).unwrap();
    drop(journal);
    let mut journal = Journal::open_at(&path, false).unwrap();
    let keys: Vec<String> = journal.take_unanswered().into_iter().map(|batch| batch.key).collect();
    assert_eq!(keys, ["open"]);
}

#[test]
fn a_journal_is_open_once() {
    let (folder, journal) = open(false);
    let path = folder.path().join("journal.jsonl");
    assert!(matches!(Journal::open_at(&path, false), Err(Error::AlreadyRunning(_))));
    drop(journal);
    Journal::open_at(&path, false).unwrap();
}
