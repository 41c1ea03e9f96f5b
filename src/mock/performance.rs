//! What happens in one invocation, cue by cue: a pure function of script, seed, plan index and what was asked.
//!
//! Nothing here knows what came before or who else is served, so that the same seed and plan index give the same ids,
//! texts, cuts and delays whatever the order of arrival.

use rand_core::Rng as _;

use super::ask::Ask;
use super::text::Piece;
use crate::profile::script::distribution::unit;
use crate::profile::script::{Distribution, FaultKind, Scale, Script};
use crate::seed::{Rng, Seed};

/// One thing that happens, and how long after the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cue {
    /// From the instant of the cue before it, in nanoseconds.
    pub(super) wait_ns: u64,
    /// What happens.
    pub(super) what: What,
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Connected,
    Created,
    Executing,
    Think(Call),
    ToolRequest(Call),
    ToolResult(Call),
    SubAgent(Call),
    Chunk(Piece),
    Finished,
}

/// A step that has an id of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Call {
    /// Its id, which pairs a result with its request.
    pub(super) id: u128,
    /// Which tool or sub-agent of the script.
    pub(super) of: u32,
    /// What it says or gives.
    pub(super) piece: Piece,
    /// It goes wrong.
    pub(super) is_error: bool,
}

/// The cues of one invocation, in order.
#[derive(Debug)]
pub(super) struct Performance<'s> {
    script: &'s Script,
    scale: Scale,
    rng: Rng,
    /// Everything before the first chunk.
    opening: std::vec::IntoIter<Cue>,
    /// How long after the last cue of the opening the next one comes.
    owed_ns: u64,
    chunks_left: u64,
    chunks_seen: bool,
    answer: Piece,
    result: Option<Piece>,
    ended: bool,
    /// Factor on what comes from here on: the load's, once it is known.
    stretch: f64,
}

/// The time from request to headers, and the task's own id, which are needed before the first cue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prelude {
    pub(super) headers_ns: u64,
    pub(super) task_id: u128,
    pub(super) organization_id: u128,
}

impl Prelude {
    /// What comes before the stream of a plan index.
    pub(super) fn new(script: &Script, seed: Seed, index: u64) -> Self {
        let mut ids = seed.stream("mock.task", index);
        let task_id = id(&mut ids);
        let headers_ns = script.headers.draw(&mut seed.stream("mock.headers", index));
        Self { headers_ns, task_id, organization_id: id(&mut seed.stream("mock.organization", 0)) }
    }
}

impl<'s> Performance<'s> {
    /// The cues of a plan index; `turn` counts from 0.
    pub(super) fn new(script: &'s Script, seed: Seed, index: u64, ask: &Ask, turn: u64) -> Self {
        let scale = scale(script, ask, turn);
        let mut opening = Opening { rng: seed.stream("mock.opening", index), scale, cues: Vec::new(), owed_ns: 0 };
        opening.fill(script);
        let mut rng = seed.stream("mock.answer", index);
        let answer = Piece::near(rng.next_u64(), 0);
        let result = script.result_chars.as_ref().map(|chars| answer.then(chars.draw(&mut rng)));
        Self {
            scale,
            opening: opening.cues.into_iter(),
            owed_ns: opening.owed_ns,
            chunks_left: times(script.chunks.draw(&mut rng), scale.chunks),
            chunks_seen: false,
            answer,
            result,
            ended: false,
            stretch: 1.0,
            rng,
            script,
        }
    }

    /// Everything that comes from here on takes longer by this factor.
    pub(super) fn stretch(&mut self, factor: f64) {
        self.stretch = factor;
    }

    /// What is wrong with the answer; whatever still comes does so in its own time.
    pub(super) fn spoil(&mut self, kind: FaultKind) {
        if kind == FaultKind::EmptyAnswer {
            (self.chunks_left, self.result) = (0, None);
            return;
        }
        let chars = self.result.map(|result| result.to_string().chars().count() as u64);
        self.answer = Piece::apology();
        self.result = chars.map(|chars| self.answer.then(chars));
    }

    /// The result of the task: what was told so far, or the script's own length of it.
    pub(super) fn result(&self) -> Piece {
        self.result.unwrap_or(self.answer)
    }

    fn chunk(&mut self) -> Cue {
        self.chunks_left -= 1;
        let time = if self.chunks_seen { (&self.script.gap, self.scale.gap) } else { self.first_chunk() };
        let wait_ns = time.0.draw(&mut self.rng);
        let piece = self.answer.then(self.script.chunk_chars.draw(&mut self.rng));
        // `then` goes on from the end of the whole answer.
        self.answer = self.answer.and(piece);
        self.chunks_seen = true;
        Cue { wait_ns: self.owed(times(wait_ns, time.1 * self.scale.time)), what: What::Chunk(piece) }
    }

    fn first_chunk(&self) -> (&'s Distribution, f64) {
        (&self.script.first_chunk, self.scale.first_chunk)
    }

    fn finish(&mut self) -> Cue {
        self.ended = true;
        let wait_ns = self.script.closing.draw(&mut self.rng);
        Cue { wait_ns: self.owed(times(wait_ns, self.scale.closing * self.scale.time)), what: What::Finished }
    }

    fn owed(&mut self, wait_ns: u64) -> u64 {
        wait_ns.saturating_add(std::mem::take(&mut self.owed_ns))
    }
}

impl Iterator for Performance<'_> {
    type Item = Cue;

    fn next(&mut self) -> Option<Cue> {
        let mut cue = match self.opening.next() {
            Some(cue) => cue,
            None if self.chunks_left > 0 => self.chunk(),
            None if !self.ended => self.finish(),
            None => return None,
        };
        cue.wait_ns = times(cue.wait_ns, self.stretch);
        Some(cue)
    }
}

/// What comes before the first chunk, as it is put together.
struct Opening {
    rng: Rng,
    scale: Scale,
    cues: Vec<Cue>,
    /// The time of the last step, which the next cue waits for.
    owed_ns: u64,
}

impl Opening {
    fn fill(&mut self, script: &Script) {
        if script.shape.connected {
            self.cue(0, What::Connected);
        }
        let created_ns = script.created.draw(&mut self.rng);
        self.cue(times(created_ns, self.scale.time), What::Created);
        let queue_ns = script.queue.draw(&mut self.rng);
        self.cue(times(queue_ns, self.scale.queue * self.scale.time), What::Executing);
        for _ in 0..times(script.think_steps.draw(&mut self.rng), self.scale.think_steps) {
            let call = self.call(0, 60);
            self.cue(0, What::Think(call));
            let think_ns = script.think.draw(&mut self.rng);
            self.owed_ns = times(think_ns, self.scale.think * self.scale.time);
        }
        self.tools(script);
        for (of, agent) in script.sub_agents.iter().enumerate() {
            let (drawn, time_ns) = (unit(&mut self.rng), agent.time.draw(&mut self.rng));
            if drawn < agent.probability {
                let call = self.call(of, 40);
                self.cue(0, What::SubAgent(call));
                self.owed_ns = times(time_ns, self.scale.time);
            }
        }
    }

    fn tools(&mut self, script: &Script) {
        for (of, tool) in script.tools.iter().enumerate() {
            let (drawn, calls) = (unit(&mut self.rng), tool.calls.draw(&mut self.rng));
            for _ in 0..if drawn < tool.probability { calls } else { 0 } {
                let chars = tool.result_chars.draw(&mut self.rng);
                let mut call = self.call(of, chars);
                call.is_error = unit(&mut self.rng) < tool.error_probability;
                let time_ns = tool.time.draw(&mut self.rng);
                self.cue(0, What::ToolRequest(call));
                self.cue(times(time_ns, self.scale.tool * self.scale.time), What::ToolResult(call));
            }
        }
    }

    fn cue(&mut self, wait_ns: u64, what: What) {
        let wait_ns = wait_ns.saturating_add(std::mem::take(&mut self.owed_ns));
        self.cues.push(Cue { wait_ns, what });
    }

    fn call(&mut self, of: usize, chars: u64) -> Call {
        Call {
            id: id(&mut self.rng),
            of: u32::try_from(of).expect("a script has fewer tools than 32 bits count"),
            piece: Piece::near(self.rng.next_u64(), chars),
            is_error: false,
        }
    }
}

/// The factors of all effects that hold.
fn scale(script: &Script, ask: &Ask, turn: u64) -> Scale {
    let holds = |when: &[(String, String)]| when.iter().all(|(field, value)| ask.field(field) == Some(value));
    let effects = script.effects.iter().filter(|effect| effect.from_turn <= turn && holds(&effect.when));
    let scale = effects.fold(Scale::default(), |scale, effect| scale.and(effect.scale));
    Scale { time: scale.time * (1.0 + script.slower_per_turn * turn as f64), ..scale }
}

/// A whole number times a factor, saturating.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float's cast saturates, which is meant")]
fn times(number: u64, factor: f64) -> u64 {
    // The common case stays exact beyond what a float holds.
    if (factor - 1.0).abs() < f64::EPSILON { number } else { (number as f64 * factor).round() as u64 }
}

fn id(rng: &mut Rng) -> u128 {
    u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64())
}
