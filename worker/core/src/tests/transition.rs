//! One event at a time: the exact actions that follow.

use super::*;

fn check(agent: &mut Agent<Word>, event: On, expected: &[&str]) {
    assert_eq!(feed(agent, event), expected);
}

#[test]
fn a_part_is_published_before_it_is_committed_and_the_task_after_its_parts() {
    let mut agent = registered(1);
    check(&mut agent, Event::Granted(encode_grant(7, 0..2)), &["start 7 encode"]);
    check(&mut agent, part_finished(7, 0), &["publish 7 part 0 files 0"]);
    check(&mut agent, part_published(7, 0), &["request 1 commit 7 part 0", "tell 7 GoOn"]);
    check(&mut agent, part_finished(7, 1), &["publish 7 part 1 files 1"]);
    check(&mut agent, part_published(7, 1), &["request 2 commit 7 part 1", "tell 7 GoOn"]);
    check(&mut agent, finished(7), &[]);
    check(&mut agent, exited(7, HowEnded::Status(0)), &[]);
    check(&mut agent, answered(1, Verdict::Accepted), &[]);
    check(&mut agent, answered(2, Verdict::Duplicate), &["publish 7 files"]);
    let published = Event::ResultPublished { epoch: Epoch(7), receipt: "nothing" };
    check(&mut agent, published, &["request 3 commit 7 nothing"]);
    check(&mut agent, answered(3, Verdict::Accepted), &["discard 7"]);
    assert_eq!(agent.held(), 0);
}

#[test]
fn a_grant_waits_for_the_process_that_still_holds_the_slot() {
    let mut agent = registered(1);
    check(&mut agent, Event::Granted(index_grant(7)), &["start 7 index"]);
    check(&mut agent, Event::Revoked { epoch: Epoch(7) }, &["kill 7"]);
    check(&mut agent, Event::Granted(encode_grant(8, 0..1)), &[]);
    check(&mut agent, exited(7, HowEnded::Signal(9)), &["discard 7", "start 8 encode"]);
}

#[test]
fn grants_past_twice_the_slots_go_back() {
    let mut agent = registered(1);
    check(&mut agent, Event::Granted(encode_grant(1, 0..1)), &["start 1 encode"]);
    check(&mut agent, Event::Granted(encode_grant(2, 0..1)), &[]);
    check(&mut agent, Event::Granted(encode_grant(3, 0..1)), &["request 1 hand back 3"]);
    check(&mut agent, answered(1, Verdict::Accepted), &["discard 3"]);
}

#[test]
fn the_same_grant_twice_starts_one_runner() {
    let mut agent = registered(2);
    check(&mut agent, Event::Granted(index_grant(7)), &["start 7 index"]);
    check(&mut agent, Event::Granted(index_grant(7)), &[]);
}

#[test]
fn a_grant_that_comes_again_after_its_attempt_starts_nothing() {
    let mut agent = registered(1);
    feed(&mut agent, Event::Granted(index_grant(7)));
    feed(&mut agent, finished(7));
    feed(&mut agent, exited(7, HowEnded::Status(0)));
    feed(&mut agent, Event::ResultPublished { epoch: Epoch(7), receipt: "index" });
    check(&mut agent, answered(1, Verdict::Accepted), &["discard 7"]);
    check(&mut agent, Event::Granted(index_grant(7)), &[]);
    check(&mut agent, Event::Granted(encode_grant(8, 0..1)), &["start 8 encode"]);
}

#[test]
fn a_later_grant_of_the_same_task_replaces_the_earlier_and_not_the_other_way_round() {
    let mut agent = registered(2);
    check(&mut agent, Event::Granted(index_grant(7)), &["start 7 index"]);
    check(&mut agent, Event::Granted(index_grant(9)), &["kill 7", "start 9 index"]);
    check(&mut agent, Event::Granted(index_grant(8)), &[]);
}

#[test]
fn a_crash_commits_the_parts_that_were_finished_and_then_fails() {
    let mut agent = registered(1);
    check(&mut agent, Event::Granted(encode_grant(7, 0..3)), &["start 7 encode"]);
    check(&mut agent, part_finished(7, 0), &["publish 7 part 0 files 0"]);
    check(&mut agent, exited(7, HowEnded::Signal(11)), &[]);
    check(&mut agent, part_published(7, 0), &["request 1 commit 7 part 0"]);
    let actions = agent.handle(2, answered(1, Verdict::Accepted));
    let [Action::Send(Message::Request(_, Request::FailAttempt { failure, .. }))] = &actions[..] else {
        panic!("{actions:?}");
    };
    assert_eq!(failure.class, FailureClass::Failed);
    assert_eq!(failure.message, "the runner was killed by SIGSEGV (11)");
    assert!(failure.evidence.ends_with("last words"));
}

#[test]
fn an_orderly_failure_keeps_its_class_and_gets_the_runners_last_words_alone() {
    let mut agent = registered(1);
    feed(&mut agent, Event::Granted(index_grant(7)));
    let failure = Failure::new(FailureClass::Invalid, "movie.mov has no moov", "");
    check(&mut agent, Event::TaskFailed { epoch: Epoch(7), failure }, &[]);
    let actions = agent.handle(2, exited(7, HowEnded::Status(0)));
    let [Action::Send(Message::Request(_, Request::FailAttempt { failure, .. }))] = &actions[..] else {
        panic!("{actions:?}");
    };
    assert_eq!((failure.class, failure.message.as_str()), (FailureClass::Invalid, "movie.mov has no moov"));
    assert_eq!(failure.evidence, "last words");
}

#[test]
fn a_runner_that_left_out_a_part_has_failed() {
    let mut agent = registered(1);
    feed(&mut agent, Event::Granted(encode_grant(7, 0..2)));
    feed(&mut agent, finished(7));
    check(&mut agent, exited(7, HowEnded::Status(0)), &["request 1 fail 7 failed"]);
}

#[test]
fn a_runner_that_could_not_be_started_fails_its_attempt() {
    let mut agent = registered(1);
    feed(&mut agent, Event::Granted(index_grant(7)));
    let event = Event::StartFailed { epoch: Epoch(7), failure: failure("no processes left") };
    check(&mut agent, event, &["request 1 fail 7 shortage"]);
}

#[test]
fn superseded_kills_the_runner_and_says_no_more() {
    let mut agent = registered(1);
    feed(&mut agent, Event::Granted(encode_grant(7, 0..9)));
    feed(&mut agent, part_finished(7, 0));
    feed(&mut agent, part_published(7, 0));
    feed(&mut agent, part_finished(7, 1));
    check(&mut agent, answered(1, Verdict::Superseded), &["stop publishing 7", "kill 7"]);
    check(&mut agent, part_published(7, 1), &[]);
    check(&mut agent, exited(7, HowEnded::Signal(9)), &["discard 7"]);
}

#[test]
fn a_cut_chunk_ends_at_the_cut() {
    let mut agent = registered(1);
    feed(&mut agent, Event::Granted(encode_grant(7, 4..9)));
    let cut = Event::ChunkCut { epoch: Epoch(7), first_given_away: PartIndex(5) };
    check(&mut agent, cut, &["tell 7 CutTail(PartIndex(5))"]);
    check(&mut agent, part_finished(7, 5), &["tell 7 GoOn"]);
    check(&mut agent, part_finished(7, 4), &["publish 7 part 4 files 4"]);
    check(&mut agent, part_published(7, 4), &["request 1 commit 7 part 4", "tell 7 GoOn"]);
    feed(&mut agent, finished(7));
    feed(&mut agent, exited(7, HowEnded::Status(0)));
    check(&mut agent, answered(1, Verdict::Accepted), &["publish 7 files"]);
}

#[test]
fn a_part_that_was_cut_away_while_its_commit_was_under_way_does_not_end_the_attempt() {
    let mut agent = registered(1);
    feed(&mut agent, Event::Granted(encode_grant(7, 0..2)));
    feed(&mut agent, part_finished(7, 1));
    check(&mut agent, part_published(7, 1), &["request 1 commit 7 part 1", "tell 7 GoOn"]);
    feed(&mut agent, Event::ChunkCut { epoch: Epoch(7), first_given_away: PartIndex(1) });
    check(&mut agent, answered(1, Verdict::Superseded), &[]);
}

#[test]
fn a_chunk_that_is_cut_while_it_waits_is_cut_at_its_start() {
    let mut agent = registered(1);
    feed(&mut agent, Event::Granted(index_grant(7)));
    feed(&mut agent, Event::Granted(encode_grant(8, 0..9)));
    check(&mut agent, Event::ChunkCut { epoch: Epoch(8), first_given_away: PartIndex(3) }, &[]);
    let started = feed(&mut agent, Event::StartFailed { epoch: Epoch(7), failure: failure("") });
    assert_eq!(started[1..], ["start 8 encode", "tell 8 CutTail(PartIndex(3))"]);
}

#[test]
fn a_runner_goes_on_when_its_part_is_in_the_store() {
    let mut agent = registered(1);
    feed(&mut agent, Event::Granted(encode_grant(7, 0..99)));
    check(&mut agent, part_finished(7, 0), &["publish 7 part 0 files 0"]);
    check(&mut agent, part_published(7, 0), &["request 1 commit 7 part 0", "tell 7 GoOn"]);
    feed(&mut agent, part_finished(7, 1));
    check(&mut agent, part_finished(7, 2), &["kill 7"]);
}

#[test]
fn a_store_that_refuses_ends_the_attempt_with_its_reason() {
    let mut agent = registered(1);
    feed(&mut agent, Event::Granted(encode_grant(7, 0..9)));
    feed(&mut agent, part_finished(7, 0));
    let refused = Event::PublishFailed { epoch: Epoch(7), failure: failure("no space left on device") };
    check(&mut agent, refused, &["kill 7"]);
    check(&mut agent, exited(7, HowEnded::Signal(9)), &["request 1 fail 7 shortage"]);
}

#[test]
fn an_unanswered_request_is_sent_again_until_it_is_answered() {
    let mut agent = registered(1);
    agent.handle(0, Event::Granted(index_grant(7)));
    agent.handle(0, Event::StartFailed { epoch: Epoch(7), failure: failure("") });
    for now in [RESEND_MS, 2 * RESEND_MS, 3 * RESEND_MS] {
        assert!(!shown(&agent.handle(now - 1, Event::Ticked)).iter().any(|line| line.contains("request")));
        assert!(shown(&agent.handle(now, Event::Ticked)).contains(&"request 1 fail 7 shortage".to_owned()));
    }
    let answer = agent.handle(3 * RESEND_MS, answered(1, Verdict::Accepted));
    assert_eq!(shown(&answer), ["discard 7"]);
}

#[test]
fn a_lease_counts_from_the_last_acknowledged_send() {
    let mut agent = registered(1);
    agent.handle(0, Event::Granted(encode_grant(7, 0..9)));
    agent.handle(0, part_finished(7, 0));
    assert_eq!(shown(&agent.handle(HEARTBEAT_MS, Event::Ticked)), ["heartbeat 2 [7]"]);
    agent.handle(HEARTBEAT_MS + 4_000, Event::HeartbeatAcknowledged { sequence: 2 });
    let last = HEARTBEAT_MS + LEASE_MS;
    assert!(!shown(&agent.handle(last - 1, Event::Ticked)).contains(&"kill 7".to_owned()));
    assert_eq!(shown(&agent.handle(last, part_published(7, 0))), ["stop publishing 7", "kill 7"]);
    assert_eq!(shown(&agent.handle(last, Event::Ticked)), ["register 1"]);
    assert_eq!(shown(&agent.handle(last, Event::Granted(index_grant(9)))), [""; 0]);
}

#[test]
fn an_answer_to_a_registration_before_the_lease_was_lost_is_none() {
    let registered = |round| Event::Registered { round, heartbeat_ms: HEARTBEAT_MS, lease_ms: LEASE_MS };
    let mut agent = self::registered(1);
    assert_eq!(shown(&agent.handle(LEASE_MS, Event::Ticked)), ["register 1"]);
    assert_eq!(shown(&agent.handle(LEASE_MS, registered(0))), [""; 0]);
    assert_eq!(shown(&agent.handle(LEASE_MS, Event::Granted(index_grant(7)))), [""; 0]);
    assert_eq!(shown(&agent.handle(LEASE_MS, registered(1))), ["heartbeat 2 []"]);
}

#[test]
fn an_acknowledgement_that_was_on_its_way_saves_the_lease() {
    let mut agent = registered(1);
    agent.handle(0, Event::Granted(encode_grant(7, 0..9)));
    agent.handle(HEARTBEAT_MS, Event::Ticked);
    let late = agent.handle(LEASE_MS, Event::HeartbeatAcknowledged { sequence: 2 });
    assert_eq!(shown(&late), [""; 0]);
}

#[test]
fn a_silent_runner_is_killed_and_one_that_repeats_itself_counts_as_silent() {
    let mut agent = registered(1);
    agent.handle(0, Event::Granted(index_grant(7)));
    let progress = Progress { done: 5, total: 9, part: None };
    let mut killed_at = None;
    for now in (0..=SILENCE_MS + 1_000).step_by(1_000) {
        agent.handle(now, Event::Progressed { epoch: Epoch(7), progress });
        let mut actions = agent.handle(now, Event::Ticked);
        if let Some(Action::Send(Message::Heartbeat { sequence, .. })) = actions.first() {
            let sequence = *sequence;
            actions.extend(agent.handle(now, Event::HeartbeatAcknowledged { sequence }));
        }
        if shown(&actions).contains(&"kill 7".to_owned()) {
            killed_at.get_or_insert(now);
        }
    }
    assert_eq!(killed_at, Some(SILENCE_MS));
    check_at(&mut agent, SILENCE_MS + 1_001, exited(7, HowEnded::Signal(9)), &["request 1 fail 7 failed"]);
}

fn check_at(agent: &mut Agent<Word>, now: u64, event: On, expected: &[&str]) {
    assert_eq!(shown(&agent.handle(now, event)), expected);
}

#[test]
fn a_drained_agent_finishes_the_part_in_hand_hands_the_rest_back_and_ends() {
    let mut agent = registered(1);
    feed(&mut agent, Event::Granted(encode_grant(7, 0..9)));
    feed(&mut agent, Event::Granted(index_grant(8)));
    let drained = feed(&mut agent, Event::DrainAsked { grace_ms: 10_000 });
    assert_eq!(drained, ["tell 7 StopAfterPart", "heartbeat 2 [7, 8] leaving", "request 1 hand back 8"]);
    check(&mut agent, answered(1, Verdict::Accepted), &["discard 8"]);
    check(&mut agent, part_finished(7, 0), &["publish 7 part 0 files 0"]);
    check(&mut agent, part_published(7, 0), &["request 2 commit 7 part 0", "tell 7 GoOn"]);
    feed(&mut agent, finished(7));
    feed(&mut agent, exited(7, HowEnded::Status(0)));
    check(&mut agent, answered(2, Verdict::Accepted), &["request 3 hand back 7"]);
    check(&mut agent, answered(3, Verdict::Accepted), &["discard 7", "end"]);
}

#[test]
fn a_drain_past_its_grace_kills_and_hands_back() {
    let mut agent = registered(1);
    feed(&mut agent, Event::Granted(index_grant(7)));
    check(&mut agent, Event::DrainAsked { grace_ms: 1_000 }, &["heartbeat 2 [7] leaving"]);
    assert_eq!(shown(&agent.handle(1_001, Event::Ticked)), ["kill 7"]);
    let gone = agent.handle(1_002, exited(7, HowEnded::Signal(9)));
    assert_eq!(shown(&gone), ["request 1 hand back 7"]);
    let late = 1_001 + UNANSWERED_AFTER_DRAIN_MS;
    assert!(shown(&agent.handle(late, Event::Ticked)).contains(&"end".to_owned()));
}

fn progressed(epoch: u64, done: u64, total: u64, part: Option<u32>) -> On {
    let progress = Progress { done, total, part: part.map(PartIndex) };
    Event::Progressed { epoch: Epoch(epoch), progress }
}

/// An agent that has encoded the first 120 of 400 frames, in parts of 100, in 12 s. It has not heard that the first part is
/// finished.
fn at_ten_frames_a_second() -> Agent<Word> {
    let mut agent = registered(1);
    agent.handle(0, Event::Granted(encode_grant(7, 4..8)));
    for second in 0..=12 {
        agent.handle(second * 1_000, progressed(7, second * 10, 400, Some(4 + second as u32 / 10)));
    }
    agent
}

#[test]
fn a_part_that_cannot_end_in_time_is_handed_back_at_once() {
    let mut agent = at_ten_frames_a_second();
    agent.handle(12_000, part_finished(7, 4));
    let drained = agent.handle(12_000, Event::DrainAsked { grace_ms: 3_900 });
    assert_eq!(shown(&drained), ["tell 7 StopAfterPart", "heartbeat 2 [7] leaving", "kill 7"]);
    check_at(&mut agent, 12_001, exited(7, HowEnded::Signal(9)), &[]);
    check_at(&mut agent, 12_001, part_published(7, 4), &["request 1 commit 7 part 4"]);
    check_at(&mut agent, 12_001, answered(1, Verdict::Accepted), &["request 2 hand back 7"]);

    // All that there is to do, where there are no parts; a second, nearer notice counts.
    let mut agent = registered(1);
    agent.handle(0, Event::Granted(index_grant(7)));
    for second in 0..=4 {
        agent.handle(second * 1_000, progressed(7, second * 25, 1_000, None));
    }
    check_at(&mut agent, 4_000, Event::DrainAsked { grace_ms: 30_000 }, &["heartbeat 2 [7] leaving"]);
    check_at(&mut agent, 4_001, Event::DrainAsked { grace_ms: 17_000 }, &["kill 7"]);
}

#[test]
fn a_part_that_may_end_in_time_is_left_to_end() {
    let left_alone = ["tell 7 StopAfterPart", "heartbeat 2 [7] leaving"];
    let mut agent = at_ten_frames_a_second();
    agent.handle(12_000, part_finished(7, 4));
    assert_eq!(shown(&agent.handle(12_000, Event::DrainAsked { grace_ms: 4_000 })), left_alone);
    // A long pause is no pace: it may have been the last.
    check_at(&mut agent, 15_000, progressed(7, 190, 400, Some(5)), &[]);
    check_at(&mut agent, 15_600, Event::Ticked, &[]);
    check_at(&mut agent, 15_700, Event::Ticked, &["kill 7"]);

    // All frames of the first part are in; its end is near, whatever the part after it takes.
    let mut agent = at_ten_frames_a_second();
    assert_eq!(shown(&agent.handle(12_000, Event::DrainAsked { grace_ms: 500 })), left_alone);

    // Nobody knows the pace of what has just begun.
    let mut agent = registered(1);
    agent.handle(0, Event::Granted(encode_grant(7, 4..8)));
    agent.handle(1_000, progressed(7, 1, 400, Some(4)));
    agent.handle(3_900, progressed(7, 2, 400, Some(4)));
    assert_eq!(shown(&agent.handle(3_900, Event::DrainAsked { grace_ms: 100 })), left_alone);
}

#[test]
fn what_the_store_has_not_taken_soon_after_the_grace_is_handed_back() {
    let mut agent = registered(1);
    feed(&mut agent, Event::Granted(encode_grant(7, 0..9)));
    feed(&mut agent, part_finished(7, 0));
    feed(&mut agent, Event::DrainAsked { grace_ms: 1_000 });
    check_at(&mut agent, 1_001, Event::Ticked, &["kill 7"]);
    check_at(&mut agent, 1_002, exited(7, HowEnded::Signal(9)), &[]);
    let late = 1_001 + UNPUBLISHED_AFTER_DRAIN_MS;
    check_at(&mut agent, late - 1, Event::Ticked, &[]);
    check_at(&mut agent, late, Event::Ticked, &["stop publishing 7", "request 1 hand back 7"]);
    check_at(&mut agent, late, part_published(7, 0), &[]);
    check_at(&mut agent, late, answered(1, Verdict::Accepted), &["discard 7", "end"]);
}

#[test]
fn an_idle_agent_drains_at_once() {
    let mut agent = registered(1);
    check(&mut agent, Event::DrainAsked { grace_ms: 1_000 }, &["heartbeat 2 [] leaving", "end"]);
}

#[test]
fn an_agent_that_nobody_answers_asks_again() {
    let mut agent: Agent<Word> = Agent::new(1);
    assert_eq!(shown(&agent.handle(0, Event::Ticked)), ["register 0"]);
    assert_eq!(shown(&agent.handle(REGISTER_AGAIN_MS - 1, Event::Ticked)), [""; 0]);
    assert_eq!(shown(&agent.handle(REGISTER_AGAIN_MS, Event::Ticked)), ["register 0"]);
}
