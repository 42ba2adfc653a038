//! `reel project`: who shares the farm, and how.

use reel_common::{ProjectView, Share};
use serde_json::{Value, json};

use crate::args::{ProjectArgs, ProjectCommand};
use crate::exit::Stop;
use crate::output::{print, print_json, row, table};
use crate::{server, signals};

pub(crate) fn run(args: ProjectArgs) -> Result<(), Stop> {
    let runtime = signals::runtime()?;
    match args.command {
        ProjectCommand::List { server, json } => {
            let projects = runtime.block_on(server::client(&server)?.projects())?;
            match json {
                true => print_json(&json!({ "projects": projects.iter().map(as_json).collect::<Vec<_>>() })),
                false => print(&as_table(&projects)),
            }
        }
        ProjectCommand::Set { name, server, weight, guarantee, burst } => {
            let share = Share { weight, guarantee, burst };
            runtime.block_on(server::client(&server)?.set_project(&name, share))?;
            print(&format!("project {name} has its share\n"))
        }
    }
}

fn as_json(project: &ProjectView) -> Value {
    let Share { weight, guarantee, burst } = project.share;
    json!({
        "name": project.name,
        "weight": weight,
        "guarantee": guarantee,
        "burst": burst,
        "slots": project.slots,
        "open_jobs": project.open_jobs,
    })
}

fn as_table(projects: &[ProjectView]) -> String {
    let mut rows = vec![row(["project", "weight", "guarantee", "burst", "slots", "open jobs"])];
    rows.extend(projects.iter().map(|ProjectView { name, share, slots, open_jobs }| {
        row([
            name,
            &share.weight.to_string(),
            &share.guarantee.to_string(),
            &share.burst.map_or("-".to_owned(), |burst| burst.to_string()),
            &slots.to_string(),
            &open_jobs.to_string(),
        ])
    }));
    table(&rows)
}
