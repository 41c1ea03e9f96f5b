//! Load that follows the clock, in virtual time: intended instants to the nanosecond, starts within tokio's millisecond.

use std::collections::BTreeMap;

use serde_json::json;

use crate::driver::Spent;
use crate::driver::tests::{Simulated, exact, parse, simulate};
use crate::metrics::certificate::{BUDGET_HELD, LIMIT_REACHED, Reason};
use crate::metrics::{Metric, Outcome, Record, Series, Verdict, Warning};
use crate::profile::Plan;
use crate::units::{NS_PER_MS, NS_PER_S};

/// Every start that was made: within tokio's grid after its instant, and never before it.
fn punctual(run: &Simulated) -> bool {
    run.rows.iter().filter(|row| row.outcome.was_started() && row.conduct.admitted_ns.is_none()).all(|row| {
        let started_ns = row.stamps.started_ns.expect("it was started");
        (row.stamps.intended_ns..=row.stamps.intended_ns + NS_PER_MS).contains(&started_ns)
    })
}

/// Starts that the certificate misses: by the in-flight limit, and by the client.
fn missed(run: &Simulated) -> (u64, u64) {
    let measured = &run.readback.certificate.measured;
    (measured.missed_by_limit, measured.missed_by_client)
}

fn intended(run: &Simulated) -> Vec<u64> {
    let mut rows: Vec<_> = run.rows.iter().map(|row| (row.plan_index, row.stamps.intended_ns)).collect();
    rows.sort_unstable();
    rows.into_iter().map(|(_, at)| at).collect()
}

fn planned(profile: &str) -> Vec<u64> {
    Plan::new(&parse(profile)).starts().expect("it is open").collect()
}

#[test]
fn every_open_load_keeps_its_instants_for_any_number_of_workers() {
    for load in [
        "load.rate = 300\nload.duration = \"2s\"",
        "load.rate = \"90/m\"\nload.invocations = 20",
        "load.rate = 100\nload.arrival = \"poisson\"\nload.duration = \"3s\"",
        "load.rate = 100\nload.arrival = \"gamma\"\nload.burstiness = 0.3\nload.duration = \"3s\"",
        "load.stage = [{ rate = 80, ramp = \"2s\" }, { rate = 80, hold = \"1s\" }, { rate = 5, ramp = \"1s\" }]",
        "load.burst = { size = 25, every = \"700ms\" }\nload.duration = \"3s\"",
        "load.series = { file = \"series.csv\", step = \"2s\" }",
        "load.trace = { file = \"trace.csv\", column = \"at\", scale = 2 }",
    ] {
        let profile = exact(load, "");
        let plan = planned(&profile);
        assert!(plan.len() >= 4, "{load}");
        for workers in [1, 3] {
            let run = simulate(&profile, workers, &[]);
            assert_eq!(intended(&run), plan, "{load}");
            assert!(punctual(&run), "{load}");
            assert!(run.rows.iter().all(|row| row.outcome == Outcome::Completed), "{load}");
            assert_eq!(missed(&run), (0, 0), "{load}");
        }
    }
}

#[test]
fn traces_and_series_come_out_to_the_nanosecond() {
    let trace = "load.trace = { file = \"trace.csv\", column = \"at\", scale = 2 }";
    assert_eq!(planned(&exact(trace, "")), [0, 500_000_000, 500_000_000, 3_000_000_002]);
    let series = planned(&exact("load.series = { file = \"series.csv\", step = \"2s\" }", ""));
    assert_eq!(series[..3], [0, 50_000_000, 100_000_000]);
    // Forty in the first two seconds, none in the next two, then every 21.978 ms.
    assert_eq!((series[39], series[40], series[41], series.len()), (1_950_000_000, 4_000_000_000, 4_021_978_022, 131));
}

#[test]
fn a_slow_agent_moves_no_start() {
    // Each answer takes 340 ms; ten start in that time all the same.
    let run = simulate(&exact("load.rate = 30\nload.duration = \"2s\"", ""), 2, &[]);
    let formula: Vec<_> = (0..60).map(|index| index * NS_PER_S / 30).collect();
    assert_eq!(intended(&run), formula);
    let finish = |row: &Record| row.from_intended_ns(row.stamps.finished_ns).expect("it completed");
    assert!(run.rows.iter().all(|row| (340..=341).contains(&(finish(row) / NS_PER_MS))));
}

#[test]
fn a_start_that_waits_for_a_place_is_timed_from_its_instant() {
    // Two places, 340 ms each, and ten starts a second: the queue grows by the second.
    let run = simulate(&exact("load.rate = 10\nload.concurrency = 2\nload.invocations = 12", ""), 2, &[]);
    assert_eq!(run.outcomes(), vec!["completed"; 12]);
    assert_eq!(intended(&run), (0..12).map(|index| index * 100 * NS_PER_MS).collect::<Vec<_>>());
    // Pairs begin at 0/100, then as places become free: 340/440, 680/780 …
    for (index, row) in (0..12).map(|index| (index, run.row(index))) {
        let started_ms = row.stamps.started_ns.expect("it was started") / NS_PER_MS;
        assert_eq!(started_ms, index / 2 * 340 + index % 2 * 100, "start {index}");
        assert_eq!(row.conduct.admitted_ns.is_some(), index >= 2);
        assert!(row.start_lag_ns().expect("it was started") <= NS_PER_MS, "the wait is no lag of the client");
    }
    let ttfc = &run.readback.summary.overall().metric(Series::from_intended(Metric::Ttfc)).expect("chunks").all;
    assert!(ttfc.max_ns.is_some_and(|max| max >= 950 * NS_PER_MS), "the user waited for the place, too");
    assert!(run.readback.warnings.contains(&Warning::HeldUp { count: 10 }));
}

#[test]
fn who_stands_behind_one_that_waits_waits_too() {
    let load = "load.burst = { size = 12, every = \"2s\" }\nload.in_flight = 3\nload.invocations = 12";
    for workers in [1, 2] {
        let run = simulate(&exact(load, ""), workers, &[]);
        assert_eq!(run.outcomes(), vec!["completed"; 12]);
        let held_up = run.rows.iter().filter(|row| row.conduct.admitted_ns.is_some()).count();
        assert_eq!(held_up, 9, "all but the first three, however many places became free at once");
        assert!(run.rows.iter().all(|row| row.start_lag_ns().is_some_and(|ns| ns <= NS_PER_MS)));
        assert!(run.readback.warnings.contains(&Warning::HeldUp { count: 9 }));
    }
}

#[test]
fn with_the_policy_drop_what_finds_no_place_is_a_row_and_costs_the_certificate() {
    let load = "load.rate = 10\nload.in_flight = 2\nload.overflow = \"drop\"\nload.duration = \"2s\"";
    let run = simulate(&exact(load, ""), 1, &[]);
    // Two of every four find a place: at 0 and 100 ms, then the places are taken until 340 and 440 ms.
    let outcomes = run.outcomes();
    assert_eq!(outcomes[..6], ["completed", "completed", "dropped", "dropped", "completed", "completed"]);
    let ledger = &run.ended.ledger;
    assert_eq!((ledger.planned, ledger.of(Outcome::Completed), ledger.of(Outcome::Dropped)), (20, 10, 10));
    assert_eq!(run.row(2).detail.as_deref(), Some(LIMIT_REACHED));
    assert_eq!(run.row(2).stamps.intended_ns, 200 * NS_PER_MS);
    let certificate = &run.readback.certificate;
    assert_eq!(certificate.verdict, Verdict::Invalid);
    let missed = Reason::StartsMissed { made: 0.5, by_limit: 10, by_client: 0 };
    assert!(certificate.reasons.contains(&missed), "{:?}", certificate.reasons);
}

#[test]
fn what_still_waits_at_the_end_was_never_started_and_says_why() {
    let load = "load.rate = 10\nload.concurrency = 1\nload.duration = \"1s\"";
    let run = simulate(&exact(load, ""), 2, &[]);
    // One place: starts at 0, 340 and 680 ms; at 1 s the one from 1,020 ms is too late.
    let ledger = &run.ended.ledger;
    assert_eq!((ledger.planned, ledger.of(Outcome::Completed), ledger.of(Outcome::NotStarted)), (10, 3, 7));
    assert!((3..10).all(|index| run.row(index).detail.as_deref() == Some(LIMIT_REACHED)));
    assert_eq!(missed(&run), (7, 0));
}

#[test]
fn an_interrupt_leaves_a_row_for_every_start_that_never_came() {
    let run = simulate(&exact("load.rate = 10\nload.duration = \"5s\"", ""), 2, &[1_050]);
    let ledger = &run.ended.ledger;
    assert_eq!((ledger.planned, ledger.of(Outcome::Completed), ledger.of(Outcome::NotStarted)), (50, 11, 39));
    let last = run.row(49);
    assert_eq!((last.stamps.intended_ns, last.detail.as_deref()), (4_900 * NS_PER_MS, Some("the run ended first")));
    assert_eq!(last.stamps.last_known_ns, last.stamps.intended_ns, "nobody has waited for it");
    assert_eq!(missed(&run), (0, 0), "what was not due is not missed");
}

#[test]
fn conversations_of_an_open_load_go_on_turn_after_turn() {
    let load = "load.rate = 2\nload.invocations = 9\n[[turn]]\nprompt = \"a\"\n[[turn]]\nprompt = \"b\"\n\
                think = { exponential = \"1s\" }\n[[turn]]\nprompt = \"c\"\n";
    let profile = exact(load, "").replace("request.input.text = \"Hello\"\n", "");
    let run = simulate(&profile, 2, &[]);
    assert_eq!(run.outcomes(), vec!["completed"; 9]);
    let plan = Plan::new(&parse(&profile));
    for conversation in 0..3 {
        let turns = [0, 1, 2].map(|turn| run.row(conversation * 3 + turn));
        assert_eq!(turns[0].stamps.intended_ns, conversation * NS_PER_S / 2);
        assert!(turns.iter().all(|row| row.task_id == turns[0].task_id && row.worker == turns[0].worker));
        let finished_ns = turns[0].stamps.finished_ns.expect("it completed");
        let think_ns = plan.invocation(conversation * 3 + 1).think_ns;
        assert_eq!(turns[1].stamps.intended_ns, finished_ns + think_ns);
    }
}

#[test]
fn a_closed_load_ramps_up_and_down() {
    let load = "load.concurrency = 4\nload.duration = \"10s\"\nload.ramp = \"2s\"\nload.ramp_down = \"4s\"";
    let run = simulate(&exact(load, ""), 2, &[]);
    let at = |ms: u64| {
        let going_on = |row: &&Record| {
            let stamps = &row.stamps;
            (stamps.started_ns.unwrap_or(u64::MAX)..stamps.last_known_ns).contains(&(ms * NS_PER_MS))
        };
        run.rows.iter().filter(going_on).count()
    };
    // One more every half a second, one less every second; a conversation that has begun still ends.
    assert_eq!([100, 600, 1_100, 1_600, 5_000].map(at), [1, 2, 3, 4, 4]);
    assert_eq!([6_900, 7_400, 8_400, 9_400, 10_350].map(at), [4, 3, 2, 1, 0]);
}

#[test]
fn people_who_hang_up_are_abandoned_and_their_tasks_are_left() {
    let user = "user.hang_up = { share = 1, after = \"300ms\" }";
    let run = simulate(&exact(&format!("load.rate = 10\nload.invocations = 5\n{user}"), ""), 1, &[]);
    assert_eq!(run.outcomes(), vec!["abandoned"; 5]);
    for row in &run.rows {
        let hung_up_ns = row.stamps.last_known_ns - row.stamps.started_ns.expect("it was started");
        assert_eq!((hung_up_ns / NS_PER_MS, row.conduct.hang_up_ns), (300, Some(300 * NS_PER_MS)));
        assert!(row.stamps.first_chunk_ns.is_some() && row.stamps.finished_ns.is_none());
        assert!(run.left.contains(row.task_id.as_ref().expect("the agent had named it")));
    }
    assert_eq!(run.ended.tasks_left, 5);
    // Who has the whole answer before his patience ends has nothing to hang up on.
    let patient = user.replace("300ms", "400ms");
    let run = simulate(&exact(&format!("load.rate = 10\nload.invocations = 5\n{patient}"), ""), 1, &[]);
    assert_eq!((run.outcomes(), run.left.len()), (vec!["completed".to_owned(); 5], 0));
}

#[test]
fn a_conversation_goes_on_after_a_failure_when_its_people_do() {
    let load = "load.concurrency = 1\nload.invocations = 3\n{user}\n[[turn]]\nprompt = \"a\"\n[[turn]]\nprompt = \"b\"\n\
                [[turn]]\nprompt = \"c\"\n";
    let profile = exact(load, "[[mock.fault]]\nkind = \"end_early\"\nat = [0]");
    let profile = profile.replace("request.input.text = \"Hello\"\n", "");
    let leaves = simulate(&profile.replace("{user}", ""), 1, &[]);
    assert_eq!(leaves.outcomes(), ["truncated", "not_started", "not_started"]);
    let goes_on = simulate(&profile.replace("{user}", "user.after_failure = \"go_on\""), 1, &[]);
    assert_eq!(goes_on.outcomes(), ["truncated", "completed", "completed"]);
    assert_eq!([0, 1, 2].map(|index| goes_on.row(index).conduct.resumed), [false, true, false]);
    assert!(goes_on.rows.iter().all(|row| row.task_id == goes_on.row(0).task_id), "it is the same task");
}

#[test]
fn who_reads_slowly_gets_the_end_later() {
    let load = "load.rate = 1\nload.invocations = 1\nuser.slow = { share = 1, bytes_per_s = \"1KiB\" }";
    let run = simulate(&exact(load, ""), 1, &[]);
    let row = run.row(0);
    assert_eq!((row.outcome, row.conduct.read_bytes_per_s), (Outcome::Completed, Some(1_024)));
    let took_ns = row.stamps.last_known_ns - row.stamps.first_byte_ns.expect("bytes came");
    let bytes = row.counts.body_bytes;
    // All but the last read are waited for.
    assert!(bytes > 1_024 && took_ns > bytes * NS_PER_S / 1_024 / 3, "{bytes} bytes in {took_ns} ns");
}

#[test]
fn who_reads_slowly_is_no_lag_of_the_client_and_has_no_longer_than_the_limit() {
    let slow = "user.slow = { share = 1, bytes_per_s = \"2KiB\" }";
    let load = format!("load.concurrency = 2\nload.invocations = 8\n{slow}");
    let run = simulate(&exact(&load, ""), 1, &[]);
    assert_eq!(run.outcomes(), vec!["completed"; 8]);
    assert!(run.rows.iter().all(|row| row.start_lag_ns().is_some_and(|ns| ns <= NS_PER_MS)), "its user was not done");
    let measured = &run.readback.certificate.measured;
    assert_eq!((measured.client_lag_ns_p99, measured.stamp_error_ns_p99), (None, None));
    let took_ns = run.row(0).stamps.last_known_ns;
    assert!(took_ns > 700 * NS_PER_MS, "{took_ns}");
    let run = simulate(&exact(&format!("{load}\nlimits.total = \"300ms\""), ""), 1, &[]);
    assert_eq!(run.outcomes(), vec!["timed_out:total"; 8]);
    assert!(run.rows.iter().all(|row| row.stamps.last_known_ns - row.stamps.intended_ns <= 301 * NS_PER_MS));
}

#[test]
fn the_budget_stops_the_run_where_it_ends() {
    let invocations = "load.concurrency = 2\nload.invocations = 10\nbudget.invocations = 5";
    let run = simulate(&exact(invocations, ""), 2, &[]);
    let ledger = &run.ended.ledger;
    assert_eq!(run.ended.spent, Some(Spent::Invocations(5)));
    assert_eq!((ledger.planned, ledger.of(Outcome::Completed), ledger.of(Outcome::NotStarted)), (10, 5, 5));
    assert_eq!(run.row(9).detail.as_deref(), Some(BUDGET_HELD));
    let duration = "load.rate = 10\nload.duration = \"5s\"\nbudget.duration = \"1s\"";
    let run = simulate(&exact(duration, ""), 2, &[]);
    assert_eq!(run.ended.spent, Some(Spent::Duration(NS_PER_S)));
    let ledger = &run.ended.ledger;
    assert_eq!((ledger.planned, ledger.of(Outcome::Completed), ledger.of(Outcome::NotStarted)), (50, 10, 40));
    assert!(run.ended.end_ns < 1_400 * NS_PER_MS, "the run does not wait for the end of its plan");
    let late = "load.concurrency = 1\nload.invocations = 3\nbudget.duration = \"1s\"";
    let done = simulate(&exact(late, ""), 1, &[]);
    assert_eq!(
        (done.ended.spent, done.ended.ledger.of(Outcome::Completed)),
        (None, 3),
        "the third one ends at 1,020 ms"
    );
    let enough = simulate(&exact("load.concurrency = 2\nload.invocations = 5\nbudget.invocations = 5", ""), 2, &[]);
    assert_eq!((enough.ended.spent, enough.ended.ledger.of(Outcome::Completed)), (None, 5), "the plan was done");
}

#[test]
fn who_thinks_beyond_the_budget_does_not_end_it_for_the_others() {
    let load = "load.concurrency = 8\nload.duration = \"9s\"\nbudget.duration = \"2s\"\n\
                [[turn]]\nprompt = \"a\"\nthink = { list = [\"10ms\", \"10ms\", \"10ms\", \"5s\"] }\n";
    let profile = exact(load, "").replace("request.input.text = \"Hello\"\n", "");
    let run = simulate(&profile, 2, &[]);
    assert_eq!(run.ended.spent, Some(Spent::Duration(2 * NS_PER_S)));
    let last_ns = run.rows.iter().filter_map(|row| row.stamps.started_ns).max();
    assert!(last_ns.is_some_and(|at| at > 1_600 * NS_PER_MS), "somebody starts until the end: {last_ns:?}");
    assert!((2_000..2_400).contains(&(run.ended.end_ns / NS_PER_MS)), "{}", run.ended.end_ns);
}

#[test]
fn the_budgets_rate_spaces_starts_out() {
    let closed = "load.concurrency = 5\nload.invocations = 6\nbudget.rate = 2";
    let run = simulate(&exact(closed, ""), 2, &[]);
    let mut starts: Vec<_> = run.rows.iter().filter_map(|row| row.stamps.started_ns).collect();
    starts.sort_unstable();
    assert_eq!(starts, (0..6).map(|index| index * NS_PER_S / 2).collect::<Vec<_>>());
    assert!(run.rows.iter().all(|row| row.start_lag_ns() == Some(0)), "a slower user, not a late client");
}

#[test]
fn the_targets_429_is_a_brake_when_the_profile_asks_for_it() {
    let fault = "[[mock.fault]]\nkind = \"status\"\nstatus = 429\nat = [2]";
    let load = "load.rate = 10\nload.invocations = 8";
    let heedless = simulate(&exact(load, fault), 1, &[]);
    assert_eq!((heedless.ended.holds.count, heedless.ended.ledger.of(Outcome::RateLimited)), (0, 1));
    assert_eq!(heedless.ended.holds.asked, 1, "what it asked for is counted all the same");
    let run = simulate(&exact(&format!("{load}\nbudget.brake = true"), fault), 1, &[]);
    assert_eq!((run.ended.holds.count, run.ended.ledger.of(Outcome::RateLimited)), (1, 1));
    assert_eq!(intended(&run), (0..8).map(|index| index * 100 * NS_PER_MS).collect::<Vec<_>>());
    // Refused at 200 ms; without a Retry-After, nothing starts for a second.
    let started_ms = |index: u64| run.row(index).stamps.started_ns.expect("it was started") / NS_PER_MS;
    assert_eq!([0, 1, 2].map(started_ms), [0, 100, 200]);
    assert!((3..8).all(|index| started_ms(index) == 1_200), "{:?}", (3..8).map(started_ms).collect::<Vec<_>>());
    assert!(run.readback.warnings.contains(&Warning::HeldUp { count: 5 }));
}

#[test]
fn behind_a_brake_the_budgets_rate_still_spaces_starts_out() {
    let fault = "[[mock.fault]]\nkind = \"status\"\nstatus = 429\nat = [0]";
    let budget = "budget.rate = 10\nbudget.brake = true";
    for load in ["load.concurrency = 20\nload.invocations = 30", "load.rate = 10\nload.invocations = 30"] {
        let run = simulate(&exact(&format!("{load}\n{budget}"), fault), 2, &[]);
        let mut starts: Vec<_> = run.rows.iter().filter_map(|row| row.stamps.started_ns).collect();
        starts.sort_unstable();
        assert_eq!((starts.len(), starts[1] / NS_PER_MS), (30, 1_000), "a hold of a second");
        assert!(starts.windows(2).all(|two| two[1] - two[0] >= 100 * NS_PER_MS), "{load}: {starts:?}");
    }
}

#[test]
fn a_wait_for_a_place_ends_with_the_load() {
    let run = simulate(&exact("load.concurrency = 5\nload.duration = \"2s\"\nbudget.rate = \"1/m\"", ""), 1, &[]);
    assert_eq!((run.ended.progress.made(), run.ended.end_ns / NS_PER_MS), (1, 2_000));
}

/// Open load with variants, faults, people who hang up and read slowly, and too few places.
fn lively(seed: u64) -> String {
    format!(
        "why = \"a simulation\"\nseed = {seed}\nload.rate = 40\nload.arrival = \"poisson\"\nload.duration = \"4s\"\n\
         load.in_flight = 15\nload.overflow = \"drop\"\nlimits.idle = \"3s\"\nrequest.input.text = \"Hello\"\n\
         user.hang_up = {{ share = 0.1, after = {{ exponential = \"400ms\" }} }}\n\
         user.slow = {{ share = 0.1, bytes_per_s = \"16KiB\" }}\n\
         variant = [{{ name = \"low\", llm_reasoning_effort = \"low\" }}, {{ name = \"high\", llm_reasoning_effort = \"high\" }}]\n\
         [mock]\nwhy = \"lively\"\nfirst_chunk = {{ exponential = \"200ms\" }}\nchunks = {{ uniform = [0, 20] }}\n\
         gap = {{ lognormal = {{ median = \"20ms\", p99 = \"90ms\" }} }}\n\
         [[mock.effect]]\nwhen.llm_reasoning_effort = \"high\"\nscale.first_chunk = 3.0\n\
         [[mock.fault]]\nkind = \"reset_in_stream\"\nprobability = 0.05\n\
         [[mock.fault]]\nkind = \"stall\"\nprobability = 0.05"
    )
}

#[test]
fn the_same_seed_runs_to_the_same_summary() {
    for seed in 1..=3 {
        let [mut first, second] = [(), ()].map(|()| simulate(&lively(seed), 2, &[]));
        // Where the mock's clock lies is the one thing that is real: its stamps are on today's wall clock.
        let clock = second.readback.summary.server.as_ref().and_then(|server| server.clock);
        first.readback.summary.server.as_mut().expect("the mock stamps its events").clock = clock;
        assert!(first.readback.summary == second.readback.summary, "seed {seed}");
        assert_eq!(first.left, second.left, "seed {seed}");
        let kinds: Vec<_> = first.ended.ledger.outcomes.keys().map(String::as_str).collect();
        for kind in ["abandoned", "completed", "dropped", "stalled"] {
            assert!(kinds.contains(&kind), "seed {seed}: {kinds:?}");
        }
    }
}

#[test]
fn what_is_asked_and_when_does_not_depend_on_the_number_of_workers() {
    let roomy = lively(4).replace("load.in_flight = 15\nload.overflow = \"drop\"\n", "");
    let met = |workers: u32| -> BTreeMap<u64, _> {
        let run = simulate(&roomy, workers, &[]);
        let facts = |row: &Record| {
            json!([
                row.stamps.intended_ns,
                &*row.variant,
                row.outcome.to_string(),
                row.counts.events,
                row.conduct.hang_up_ns
            ])
        };
        run.rows.iter().map(|row| (row.plan_index, facts(row))).collect()
    };
    assert_eq!(met(1), met(3));
}

#[test]
fn scenarios_have_their_own_turns_and_rows_for_any_number_of_workers() {
    let mixed = |load: &str| {
        lively(6).replace("load.rate = 40\nload.arrival = \"poisson\"\nload.duration = \"4s\"\n", load).replace(
            "request.input.text = \"Hello\"\n",
            "scenario = [\
             { name = \"talk\", turn = [{ prompt = \"Hello\" }, { prompt = \"And?\", think = \"50ms\" }, { prompt = \"Bye\" }] },\
             { name = \"ask\", weight = 3, turn = [{ prompt = \"When?\" }] }]\n",
        )
    };
    let open = "load.rate = 40\nload.arrival = \"poisson\"\nload.duration = \"4s\"\n";
    let closed = "load.concurrency = 5\nload.invocations = 101\n";
    for load in [open, closed] {
        let roomy = mixed(load).replace("load.in_flight = 15\nload.overflow = \"drop\"\n", "");
        let plan = Plan::new(&parse(&roomy));
        let met = |workers: u32| -> BTreeMap<u64, _> {
            let run = simulate(&roomy, workers, &[]);
            let facts = |row: &Record| {
                let planned = plan.invocation(row.plan_index);
                assert_eq!((&row.scenario, &row.variant), (&planned.scenario, &planned.variant));
                assert_eq!((row.conversation, row.turn), (planned.conversation, planned.turn));
                json!([row.outcome.to_string(), row.counts.events, row.conduct.hang_up_ns])
            };
            let scenarios = run.readback.summary.groups.iter().filter_map(|group| group.scenario.as_deref());
            assert_eq!(scenarios.collect::<Vec<_>>(), ["ask", "talk"]);
            run.rows.iter().map(|row| (row.plan_index, facts(row))).collect()
        };
        let one = met(1);
        assert_eq!(one.keys().copied().collect::<Vec<_>>(), (0..plan.planned().expect("counted")).collect::<Vec<_>>());
        assert_eq!(one, met(3), "{load}");
    }
    let full = simulate(&mixed(open), 2, &[]);
    let planned = Plan::new(&parse(&mixed(open))).planned();
    assert_eq!(Some(full.rows.len() as u64), planned, "dropped ones and the turns that they owe have rows, too");
    assert!(full.ended.ledger.of(Outcome::Dropped) > 0 && full.ended.ledger.of(Outcome::NotStarted) > 0);
}

#[test]
fn each_variant_is_asked_with_its_own_overrides() {
    let run = simulate(&lively(5).replace("exponential = \"200ms\"", "list = [\"200ms\"]"), 2, &[]);
    let ttfc = |variant: &str| {
        let of_variant = |row: &&Record| &*row.variant == variant;
        let all: Vec<_> = run.rows.iter().filter(of_variant).collect();
        let times = all.iter().filter_map(|row| row.from_sent_ns(row.stamps.first_chunk_ns)).map(|ns| ns / NS_PER_MS);
        (all.len(), times.min())
    };
    let ((low, low_ms), (high, high_ms)) = (ttfc("low"), ttfc("high"));
    assert!(low.abs_diff(high) <= 1, "{low} and {high}: blocks of one each");
    assert_eq!((low_ms, high_ms), (Some(200), Some(600)));
    assert_eq!(run.readback.summary.groups.len(), 3, "each has its own rows in the summary, beside all together");
}
