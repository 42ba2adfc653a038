//! Commands and state of jobs with renditions that have a target rate or quality.

use super::*;

fn plan_with_targets() -> Box<Plan> {
    let target = |rendition, codec| RateTarget {
        rendition,
        codec,
        goal: Goal::Bytes(1 << 33),
        crf_milli: 23_400,
        draft_milli: 1_300,
    };
    let targets = vec![target(0, VideoCodec::H264), target(3, VideoCodec::Av1)];
    Box::new(Plan { targets, ..*plan(SegmentGrid::regular(1000, 96, 3).unwrap()) })
}

fn plan_with_qualities() -> Box<Plan> {
    let mut plan = plan_with_targets();
    plan.targets[0].goal = Goal::Psnr(42_250);
    plan.targets[1].goal = Goal::Ssim(985_000);
    plan
}

fn plan_with_vmaf() -> Box<Plan> {
    let mut plan = plan_with_qualities();
    plan.targets[1].goal = Goal::Vmaf(94_500);
    plan
}

/// Commands of jobs with bit rates and qualities.
pub(super) fn rate_actions() -> Vec<(&'static str, Action)> {
    let (job, task, epoch) = (JobId(42), TASK, EPOCH);
    let step = RateStep { probe: true, crf_milli: vec![23_400, 35_300] };
    let part = Action::CommitPart {
        task,
        epoch,
        part: PartIndex(5),
        record: Artifact::of(b"record"),
        encoded: 3,
        reused: 1,
        measured: vec![Measured::sized(0), Measured::sized(1 << 40)],
    };
    let result = TaskResult::Measured(vec![Measured::sized(9), Measured::sized(1 << 40)]);
    let good = vec![Measured::new(1 << 40, 42_173, 985_012), Measured::new(7, 0, 999_999)];
    let good_result = TaskResult::Measured(good.clone());
    let with_vmaf = vec![good[0].with_vmaf(94_476), good[1]];
    let result_with_vmaf = TaskResult::Measured(with_vmaf.clone());
    let good_part = Action::CommitPart {
        task,
        epoch,
        part: PartIndex(6),
        record: Artifact::of(b"record"),
        encoded: 2,
        reused: 0,
        measured: good,
    };
    let part_with_vmaf = Action::CommitPart {
        task,
        epoch,
        part: PartIndex(7),
        record: Artifact::of(b"record"),
        encoded: 2,
        reused: 0,
        measured: with_vmaf,
    };
    vec![
        ("commit_plan_with_flags", Action::CommitPlan { job, plan: plan_with_flags() }),
        ("commit_plan_with_vmaf", Action::CommitPlan { job, plan: plan_with_vmaf() }),
        ("commit_part_with_vmaf", part_with_vmaf),
        (
            "commit_vmaf",
            Action::CommitTask { task, epoch, result: result_with_vmaf, source_bytes_read: None },
        ),
        ("commit_plan_with_qualities", Action::CommitPlan { job, plan: plan_with_qualities() }),
        ("commit_part_with_qualities", good_part),
        (
            "commit_qualities",
            Action::CommitTask { task, epoch, result: good_result, source_bytes_read: None },
        ),
        ("commit_plan_with_targets", Action::CommitPlan { job, plan: plan_with_targets() }),
        ("commit_rate", Action::CommitRate { job, after: 3, step }),
        ("commit_part_with_sizes", part),
        ("commit_sizes", Action::CommitTask { task, epoch, result, source_bytes_read: None }),
    ]
}

/// The same with bit rates, which were added later.
pub(super) fn state_with_rates() -> FarmState {
    let round = || {
        let level = |crf_milli| RateLevel { crf_milli, bytes: [1, 1 << 40, 0, 3, 9], ..RateLevel::default() };
        RateRound { levels: vec![level(23_400), level(35_300)] }
    };
    let mut state = state();
    for (id, job) in &mut state.jobs {
        job.plan = Some(plan_with_targets());
        job.rate.rounds = vec![round(), round()];
        if id.0 % 2 == 0 {
            job.rate.waves = vec![round()];
        } else {
            job.rate.probing = true;
            job.rate.probed = TaskSet { fresh: 6, open: BTreeSet::from([2, 4]), ..TaskSet::default() };
        }
    }
    state
}

/// The same with qualities, which were added later.
pub(super) fn state_with_qualities() -> FarmState {
    let mut state = state_with_rates();
    for job in state.jobs.values_mut() {
        job.plan = Some(plan_with_qualities());
        let rounds = job.rate.rounds.iter_mut().chain(&mut job.rate.waves);
        let levels = rounds.flat_map(|round| &mut round.levels);
        levels.for_each(|level| level.quality = [1 << 40, 9, 0, 3, 1]);
    }
    state
}
