//! Commands and state of a farm whose workers have prices.

use super::*;

fn priced() -> WorkerFacts {
    WorkerFacts { price: Price { micros: 340_000 }, ..spot_facts() }
}

/// Commands of workers with a price.
pub(super) fn price_actions() -> Vec<(&'static str, Action)> {
    vec![("register_priced_worker", Action::RegisterWorker { facts: Box::new(priced()) })]
}

/// The same with prices, which were added later.
pub(super) fn state_with_prices() -> FarmState {
    let mut state = state();
    state.workers.values_mut().for_each(|worker| worker.facts = priced());
    for job in state.jobs.values_mut() {
        job.workers.values_mut().for_each(|worker| *worker = JobWorker::from(&priced()));
        job.cost_micros = 1 << 33;
    }
    state
}
