//! The schedulers: who leads, who is behind.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Cell, Paragraph, Row, Table};
use reel_proto::v1;

use super::{BAD, BUSY, FAINT, GOOD, draw_nothing};
use crate::format;
use crate::model::Model;

/// Log entries behind the leader that are no lag.
const NEAR: u64 = 100;

pub(super) fn draw(frame: &mut Frame, area: Rect, model: &Model) {
    let Some(status) = &model.cluster else { return draw_nothing(frame, area, "asking the farm…") };
    let [head, list] = Layout::vertical([Constraint::Length(4), Constraint::Fill(1)]).areas(area);
    let voters = status.members.iter().filter(|member| member.voter).count();
    let spare = voters.saturating_sub(1) / 2;
    let leader = match status.leader {
        Some(leader) => format!("scheduler {leader}").fg(GOOD),
        None => "nobody".fg(BAD),
    };
    let lines = vec![
        Line::from(vec![" leader    ".fg(FAINT), leader, format!(" in term {}", status.term).into()]),
        Line::from(vec![" voters    ".fg(FAINT), format!("{voters}: {spare} may be lost").into()]),
        Line::from(vec![
            " log       ".fg(FAINT),
            format!(
                "{} entries, {} applied, snapshot at {}",
                format::count(status.last_log),
                format::count(status.applied),
                format::count(status.snapshot)
            )
            .into(),
        ]),
    ];
    frame.render_widget(Paragraph::new(lines), head);
    let rows = status.members.iter().map(|member| row(member, status));
    let widths = [Constraint::Length(4), Constraint::Length(9), Constraint::Length(22), Constraint::Fill(1)];
    let heading = Row::new([" id", "role", "log", "address"]).style(Style::new().fg(FAINT));
    frame.render_widget(Table::new(rows, widths).header(heading), list);
}

fn row(member: &v1::ClusterMember, status: &v1::ClusterStatus) -> Row<'static> {
    let leads = status.leader == Some(member.id);
    let role = match (leads, member.voter) {
        (true, _) => "leader".fg(GOOD).bold(),
        (false, true) => "voter".into(),
        (false, false) => "learner".fg(FAINT),
    };
    // Where the leader does not answer, nobody knows.
    let log = match member.matched {
        _ if leads => format!("{} entries", format::count(status.last_log)).into(),
        None => "not heard of".fg(if status.leader == Some(status.node) { BAD } else { FAINT }),
        Some(matched) => match status.last_log.saturating_sub(matched) {
            behind @ 0..=NEAR => format!("{behind} behind").fg(GOOD),
            behind => format!("{} behind", format::count(behind)).fg(BUSY),
        },
    };
    Row::new([
        Cell::from(format!(" {}", member.id)),
        Cell::from(role),
        Cell::from(log),
        Cell::from(member.address.clone()),
    ])
}
