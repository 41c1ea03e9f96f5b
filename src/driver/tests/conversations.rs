//! Conversations: turn after turn on one task, to their end.

use std::collections::BTreeSet;

use super::{SECOND, simulate};

const CHAT: &str = "why = \"a simulation\"\nload.ramp = \"0s\"\nload.concurrency = 2\nload.invocations = 9\n\
    [[turn]]\nprompt = \"a\"\n[[turn]]\nprompt = \"b\"\nthink = \"2s\"\n[[turn]]\nprompt = \"c\"\n\
    [mock]\nwhy = \"exact\"\nfirst_chunk = \"100ms\"\nchunks = 1\n";

#[test]
fn a_conversation_goes_on_with_one_task_turn_after_turn() {
    let run = simulate(CHAT, 1, &[]);
    assert_eq!(run.outcomes(), vec!["completed"; 9]);
    for conversation in 0..3 {
        let turns: Vec<_> = (0..3).map(|turn| run.row(conversation * 3 + turn)).collect();
        assert!(turns.iter().all(|row| row.task_id == turns[0].task_id && row.task_id.is_some()));
        let began = |turn: usize| turns[turn].stamps.started_ns.expect("it was started");
        let ended = |turn: usize| turns[turn].stamps.finished_ns.expect("it has finished");
        assert_eq!((began(1) - ended(0), began(2) - ended(1)), (2 * SECOND, 0), "think time lies between turns");
        assert_eq!(turns.iter().map(|row| row.reused).collect::<Vec<_>>()[1..], [Some(true), Some(true)]);
    }
    let ids: BTreeSet<_> = run.rows.iter().map(|row| &row.task_id).collect();
    assert_eq!(ids.len(), 3, "each conversation has its own");
}

#[test]
fn a_turn_that_fails_ends_its_conversation_and_the_owed_turns_are_rows() {
    let run = simulate(&format!("{CHAT}[[mock.fault]]\nkind = \"end_early\"\nat = [3]"), 1, &[]);
    assert_eq!(
        run.outcomes(),
        [
            "completed",
            "completed",
            "completed",
            "truncated",
            "not_started",
            "not_started",
            "completed",
            "completed",
            "completed"
        ]
    );
    assert_eq!(run.row(4).detail.as_deref(), Some("its conversation ended before this turn"));
    assert_eq!((run.row(4).conversation, run.row(5).turn), (1, 2));
}

#[test]
fn a_user_who_thinks_beyond_all_time_says_nothing_more() {
    let text = "why = \"a simulation\"\nload.concurrency = 1\nload.duration = \"5s\"\n[[turn]]\nprompt = \"a\"\n\
        [[turn]]\nprompt = \"b\"\nthink = \"18446744073s\"\n\
        [mock]\nwhy = \"exact\"\nfirst_chunk = \"1s\"\nchunks = 1\n";
    assert_eq!(simulate(text, 1, &[]).outcomes(), ["completed"]);
}
