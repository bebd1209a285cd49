//! Limits how many files are sent at the same time.
//!
//! A small file waits for the bucket's answer most of its time, so many small ones are sent at the same time. Large ones use the
//! whole network, and more of them at the same time would only take longer each. So a small file takes one slot and a large one
//! several. Slots are added while small files are answered quickly, and removed when they are not.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

/// The slots at first, the least number of slots, and the most that a file takes.
const FEWEST: u32 = 8;
const MOST: u32 = 64;
/// Bytes of a file for each of its slots.
const WIDTH: u64 = 128 * 1024;
/// An answer to a small file within this time adds a slot.
const QUICK: Duration = Duration::from_millis(500);
/// An answer to a small file after this time halves the slots.
const LATE: Duration = Duration::from_secs(4);

pub(super) struct Slots {
    free: Semaphore,
    state: Mutex<SlotCount>,
    /// The user chose the number: it stays, and each file takes one slot.
    chosen: bool,
}

struct SlotCount {
    all: u32,
    /// Slots to remove when their files are done.
    surplus: u32,
}

/// The slots of one file.
pub(super) struct Slot<'a> {
    slots: &'a Slots,
    permit: Option<SemaphorePermit<'a>>,
    small: bool,
}

impl Slots {
    pub(super) fn new(chosen: Option<usize>) -> Self {
        let all = chosen.map_or(FEWEST, |chosen| chosen.clamp(1, MOST as usize) as u32);
        let (free, state) = (Semaphore::new(all as usize), Mutex::new(SlotCount { all, surplus: 0 }));
        Self { free, state, chosen: chosen.is_some() }
    }

    /// The most files at the same time.
    pub(super) fn most(&self) -> usize {
        if self.chosen { self.state().all as usize } else { MOST as usize }
    }

    /// Waits until a file of this size can be sent.
    pub(super) async fn enter(&self, size: u64) -> Slot<'_> {
        let takes = if self.chosen { 1 } else { size.div_ceil(WIDTH).clamp(1, u64::from(FEWEST)) as u32 };
        let permit = self.free.acquire_many(takes).await.expect("the semaphore is never closed");
        Slot { slots: self, permit: Some(permit), small: takes == 1 && !self.chosen }
    }

    fn state(&self) -> MutexGuard<'_, SlotCount> {
        self.state.lock().expect("no panic while it is held")
    }
}

impl Slot<'_> {
    /// The bucket stored the file after this time.
    pub(super) fn stored_after(&self, time: Duration) {
        if self.small && time < QUICK {
            let mut state = self.slots.state();
            if state.surplus > 0 {
                state.surplus -= 1;
            } else if state.all < MOST {
                self.slots.free.add_permits(1);
            } else {
                return;
            }
            state.all += 1;
        } else if self.small && time > LATE {
            self.overloaded();
        }
    }

    /// The bucket answered that it is overloaded, or did not answer.
    pub(super) fn overloaded(&self) {
        if !self.slots.chosen {
            let mut state = self.slots.state();
            let fewer = (state.all / 2).max(FEWEST);
            state.surplus += state.all - fewer;
            state.all = fewer;
        }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut state = self.slots.state();
        let Some(mut permit) = self.permit.take() else { return };
        let gone = state.surplus.min(permit.num_permits() as u32);
        state.surplus -= gone;
        if let Some(gone) = permit.split(gone as usize) {
            gone.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const SMALL: u64 = 1000;
    const LARGE: u64 = 5_000_000;

    fn fill(slots: &Slots, size: u64) -> Vec<Slot<'_>> {
        std::iter::from_fn(|| slots.enter(size).now_or_never()).collect()
    }

    #[test]
    fn slots_are_added_while_answers_are_quick_and_halved_when_one_is_late() {
        let slots = Slots::new(None);
        assert_eq!(fill(&slots, SMALL).len(), 8);
        for _ in 0..100 {
            let all = fill(&slots, SMALL);
            all.iter().for_each(|slot| slot.stored_after(Duration::from_millis(60)));
        }
        assert_eq!(fill(&slots, SMALL).len(), 64);
        assert_eq!(fill(&slots, WIDTH + 1).len(), 32);
        assert_eq!(fill(&slots, LARGE).len(), 8);

        let all = fill(&slots, SMALL);
        all[0].stored_after(Duration::from_secs(1));
        all[1].stored_after(Duration::from_secs(5));
        all[2].overloaded();
        drop(all);
        assert_eq!(fill(&slots, SMALL).len(), 16);
        for _ in 0..3 {
            fill(&slots, SMALL)[0].overloaded();
        }
        assert_eq!(fill(&slots, SMALL).len(), 8);
        assert_eq!(fill(&slots, LARGE).len(), 1);
    }

    #[test]
    fn slots_to_remove_are_kept_if_answers_are_quick_again() {
        let slots = Slots::new(None);
        let all = fill(&slots, SMALL);
        all[..4].iter().for_each(|slot| slot.stored_after(Duration::ZERO));
        all[0].overloaded();
        all[..2].iter().for_each(|slot| slot.stored_after(Duration::ZERO));
        drop(all);
        assert_eq!(fill(&slots, SMALL).len(), 10);
    }

    #[test]
    fn large_files_change_nothing() {
        let slots = Slots::new(None);
        fill(&slots, LARGE)[0].stored_after(Duration::ZERO);
        fill(&slots, LARGE)[0].stored_after(Duration::from_secs(60));
        assert_eq!(fill(&slots, SMALL).len(), 8);
    }

    #[test]
    fn a_chosen_number_stays() {
        let slots = Slots::new(Some(3));
        for slot in fill(&slots, SMALL) {
            slot.stored_after(Duration::ZERO);
            slot.overloaded();
        }
        assert_eq!(slots.most(), 3);
        assert_eq!(fill(&slots, SMALL).len(), 3);
        assert_eq!(fill(&slots, LARGE).len(), 3);
    }
}
