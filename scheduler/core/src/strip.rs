//! How far the parts of a title are, in a few cells: what monitors draw of a million of them.

use reel_common::{JobId, PartIndex, Stage};

use crate::state::{FarmState, PartRange};

/// The parts of a title in cells of consecutive ones: cell i of n has those from i * total / n on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strip {
    /// Parts of the title; 0 before the plan.
    pub parts_total: u32,
    /// The cells: no more than parts.
    pub cells: Vec<Cell>,
}

/// Some parts. What is counted nowhere waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// Committed.
    pub done: u32,
    /// Of attempts that run, and not committed.
    pub running: u32,
    /// Of chunks that wait after a failure.
    pub troubled: u32,
}

impl Strip {
    /// The cell of a part: the last that begins no later than it.
    fn cell(&mut self, part: PartIndex) -> Option<&mut Cell> {
        let (total, cells) = (u64::from(self.parts_total), self.cells.len() as u64);
        let place = ((u64::from(part.0) + 1) * cells).checked_sub(1)? / total.max(1);
        self.cells.get_mut(place as usize)
    }

    fn count(&mut self, parts: impl Iterator<Item = PartIndex>, of: impl Fn(&mut Cell) -> &mut u32) {
        for part in parts {
            if let Some(cell) = self.cell(part) {
                *of(cell) += 1;
            }
        }
    }
}

/// The parts of a job in at most `cells` cells; `None` where there is no such job.
pub fn strip(state: &FarmState, id: JobId, cells: u32) -> Option<Strip> {
    let job = state.jobs.get(&id)?;
    let parts_total = job.parts_total();
    let mut strip = Strip { parts_total, cells: vec![Cell::default(); parts_total.min(cells) as usize] };
    strip.count(job.encode.committed.keys().copied(), |cell| &mut cell.done);
    let open = |range: PartRange| range.parts().filter(|part| !job.encode.committed.contains_key(part));
    for (task, _) in state.leases_of_job(id).filter(|(task, _)| task.stage == Stage::Encode) {
        let chunk = job.encode.chunks.get(&task.index).copied();
        strip.count(chunk.into_iter().flat_map(open), |cell| &mut cell.running);
    }
    for (task, record) in job.tasks.range((Stage::Encode, 0)..=(Stage::Encode, u32::MAX)) {
        let waits =
            !state.leases.contains_key(&reel_common::TaskId { job: id, stage: task.0, index: task.1 });
        let chunk = job.encode.chunks.get(&task.1).filter(|_| waits && !record.faults.is_empty());
        strip.count(chunk.copied().into_iter().flat_map(open), |cell| &mut cell.troubled);
    }
    Some(strip)
}

#[cfg(test)]
mod tests {
    use reel_common::FailureClass;

    use super::*;
    use crate::testing::{FarmBuilder, encode, plan_of};

    /// (done, running, troubled) of each cell.
    fn cells(state: &FarmState, cells: u32) -> Vec<(u32, u32, u32)> {
        let strip = strip(state, JobId(1), cells).unwrap();
        strip.cells.iter().map(|cell| (cell.done, cell.running, cell.troubled)).collect()
    }

    #[test]
    fn every_part_is_in_one_cell() {
        let mut farm = FarmBuilder::new().worker("w", 2).job(plan_of(8, 2, 0)).build();
        let worker = farm.worker("w");
        let epoch = farm.grant(encode(1, 0), worker);
        farm.commit_part(encode(1, 0), epoch, 0);
        let epoch = farm.grant(encode(1, 3), worker);
        farm.fail(encode(1, 3), epoch, FailureClass::Failed, "signal 11");
        assert_eq!(cells(&farm.state, 4), [(1, 1, 0), (0, 0, 0), (0, 0, 0), (0, 0, 2)]);
        assert_eq!(cells(&farm.state, 1), [(1, 1, 2)]);
        let each = [(1, 0, 0), (0, 1, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 1), (0, 0, 1)];
        assert_eq!(cells(&farm.state, 8), each);
        assert_eq!(cells(&farm.state, 100), each, "no more cells than parts");
        assert_eq!(strip(&farm.state, JobId(9), 4), None);
    }

    #[test]
    fn cells_begin_where_they_are_said_to() {
        for (total, cells) in [(10, 3), (7, 7), (1_000_000, 4096), (97, 31), (5, 4)] {
            let mut strip = Strip { parts_total: total, cells: vec![Cell::default(); cells] };
            strip.count((0..total).map(PartIndex), |cell| &mut cell.done);
            let begins = |cell: usize| (cell as u64 * u64::from(total) / cells as u64) as u32;
            for (place, cell) in strip.cells.iter().enumerate() {
                assert_eq!(
                    cell.done,
                    begins(place + 1) - begins(place),
                    "cell {place} of {cells}, {total} parts"
                );
            }
        }
    }

    #[test]
    fn a_job_without_a_plan_has_no_cells() {
        let mut farm = FarmBuilder::new().build();
        let job = farm.submit("out", 0);
        assert_eq!(strip(&farm.state, job, 10), Some(Strip::default()));
    }
}
