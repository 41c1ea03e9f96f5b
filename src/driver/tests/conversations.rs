//! Conversations: turn after turn on one task, to their end.

use std::collections::BTreeSet;

use super::{SECOND, Simulated, simulate};

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

/// Conversations of three turns whose users hang up on each of them after a while, and go on.
fn impatient(after: &str, load: &str, mock: &str) -> Simulated {
    let user = format!("user.after_failure = \"go_on\"\nuser.hang_up = {{ share = 1, after = \"{after}\" }}\n{load}\n");
    let chat = CHAT.replace("load.concurrency = 2\nload.invocations = 9\n", &user);
    simulate(&format!("{chat}closing = \"5s\"\n{mock}"), 1, &[])
}

fn left(run: &Simulated) -> (u64, u64, Vec<String>) {
    (run.ended.tasks_left, run.ended.tasks_unnamed, run.left.clone())
}

#[test]
fn a_task_whose_next_turn_is_never_made_is_left_behind() {
    for end in ["load.duration = \"2s\"", "load.invocations = 3\nbudget.invocations = 1", "load.invocations = 1"] {
        let run = impatient("1s", &format!("load.concurrency = 1\n{end}"), "");
        assert_eq!(run.row(0).outcome.to_string(), "abandoned");
        let task = run.row(0).task_id.clone().expect("it was named");
        assert_eq!((run.ended.progress.made(), left(&run)), (1, (1, 0, vec![task])), "{end}");
    }
}

#[test]
fn a_task_whose_next_turn_is_not_taken_up_is_left_behind_once() {
    for fault in
        ["kind = \"status\"\nstatus = 429", "kind = \"status\"\nstatus = 503", "kind = \"reset_before_headers\""]
    {
        for at in ["[2]", "[1]", "[1, 2]"] {
            let fault = format!("[[mock.fault]]\n{fault}\nat = {at}");
            let run = impatient("1s", "load.concurrency = 1\nload.invocations = 3", &fault);
            let task = run.row(0).task_id.clone().expect("it was named");
            assert_eq!(left(&run), (1, 0, vec![task]), "{:?}", run.outcomes());
            assert_eq!([0, 1, 2].map(|index| run.row(index).conduct.resumed), [false, true, true]);
        }
    }
    let completes = impatient("6s", "load.concurrency = 1\nload.invocations = 3", "");
    assert_eq!((completes.outcomes(), left(&completes)), (vec!["completed".to_owned(); 3], (0, 0, Vec::new())));
}

#[test]
fn a_task_that_has_no_name_yet_is_left_behind_and_the_next_turn_is_another_one() {
    let run = impatient("1s", "load.concurrency = 1\nload.invocations = 3", "created = \"2s\"");
    assert_eq!((run.outcomes(), left(&run)), (vec!["abandoned".to_owned(); 3], (3, 3, Vec::new())));
    assert!(run.rows.iter().all(|row| !row.conduct.resumed), "there was nothing to go on with");
}
