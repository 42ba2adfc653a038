//! `reel project`: who shares the farm, and how.

use reel_common::{ProjectView, Share};
use serde_json::{Value, json};

use crate::args::{ProjectArgs, ProjectCommand};
use crate::exit::Stop;
use crate::output::{self, Column, print};
use crate::watch::{self, Shown};
use crate::{server, signals};

pub(crate) fn run(args: ProjectArgs) -> Result<(), Stop> {
    match args.command {
        ProjectCommand::List { view } => watch::show(&view, async |farm| {
            let projects = farm.projects().await?;
            let json = json!({ "projects": projects.iter().map(as_json).collect::<Vec<_>>() });
            Ok(Shown { json, tables: as_table(&projects) })
        }),
        ProjectCommand::Set { name, server, weight, guarantee, burst } => {
            let share = Share { weight, guarantee, burst };
            signals::runtime()?.block_on(server::client(&server)?.set_project(&name, share))?;
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
    if projects.is_empty() {
        return "no projects; a job comes into one with `reel submit --project`\n".to_owned();
    }
    let columns = [
        Column::Words("project"),
        Column::Numbers("weight"),
        Column::Numbers("guarantee"),
        Column::Numbers("burst"),
        Column::Numbers("slots"),
        Column::Numbers("open jobs"),
    ];
    let cells = |ProjectView { name, share, slots, open_jobs }: &ProjectView| {
        [
            name.clone(),
            share.weight.to_string(),
            share.guarantee.to_string(),
            share.burst.map_or("-".to_owned(), |burst| burst.to_string()),
            slots.to_string(),
            open_jobs.to_string(),
        ]
    };
    output::list(columns, projects.iter().map(cells))
}
