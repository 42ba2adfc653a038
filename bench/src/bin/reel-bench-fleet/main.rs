//! How well large fleets are used: the real core of the scheduler over simulated workers that are preempted, from 1 to
//! 10,000 of them, in virtual time.

mod fleet;
mod workload;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::fleet::{Fleet, Outcome, Terms};
use crate::workload::Workload;

/// Prints makespan, wasted work and what the core costs, for each size of the fleet and each rate of preemptions.
#[derive(Debug, Parser)]
#[command(name = "reel-bench-fleet")]
struct Args {
    /// Sizes of the fleet, in workers of one slot.
    #[arg(long, value_delimiter = ',', default_value = "1,10,100,1000,10000")]
    workers: Vec<u32>,
    /// How many of a hundred workers are preempted in an hour.
    #[arg(long, value_delimiter = ',', default_value = "0,5,10,25,50")]
    preempted: Vec<u32>,
    /// Seconds from the notice of a preemption to the end; 0 kills without a word.
    #[arg(long, default_value_t = 30)]
    notice: u64,
    /// Seconds until another worker comes in the place of one that went.
    #[arg(long, default_value_t = 120)]
    replacement: u64,
    /// Parts for each worker, of half a minute each; a fleet has 2,000 to 100,000 together.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    parts: u32,
    /// All chance follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    reel_bench::end(run(&Args::parse()).map(|()| ExitCode::SUCCESS))
}

fn run(args: &Args) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(
        out,
        "workers  preempted/h  makespan  of ideal  preempted  parts lost  work wasted  cuts  commands/s  core load"
    )?;
    for workers in &args.workers {
        for preempted in &args.preempted {
            let terms = Terms {
                preempted_an_hour: f64::from(*preempted) / 100.0,
                notice_ms: args.notice * 1000,
                replacement_ms: args.replacement * 1000,
            };
            let workload = Workload::of(u64::from(*workers) * u64::from(args.parts))?;
            let outcome = Fleet::new(*workers, terms, workload, args.seed).run()?;
            writeln!(out, "{}", row(*workers, *preempted, &outcome))?;
        }
    }
    Ok(())
}

fn row(workers: u32, preempted: u32, outcome: &Outcome) -> String {
    let Outcome { makespan_ms, work_ms, wasted_ms, preemptions, lost, cuts, commands, .. } = outcome;
    let minutes = *makespan_ms as f64 / 60_000.0;
    // Every worker does what counts from the first moment to the last.
    let of_ideal = *makespan_ms as f64 * f64::from(workers) / *work_ms as f64;
    let wasted = 100.0 * *wasted_ms as f64 / *work_ms as f64;
    // The core's share of what the run has had of the processor: others may have had it meanwhile.
    let core = outcome.processor.as_secs_f64() * outcome.core.as_secs_f64() / outcome.run.as_secs_f64();
    let per_second = *commands as f64 / core;
    let load = 100.0 * core / (*makespan_ms as f64 / 1000.0);
    format!(
        "{workers:7}  {preempted:9} %  {minutes:5.0} min  {of_ideal:8.3}  {preemptions:9}  {lost:10}  \
         {wasted:9.2} %  {cuts:4}  {per_second:10.0}  {load:7.2} %"
    )
}
