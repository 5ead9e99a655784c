//! Routes each event to the machines it concerns.

use std::time::Instant;

use crate::entity::GraphName;
use crate::fill::Filler;
use crate::fill::lane::Follow;
use crate::fill::pass::{Ending, Pass};
use crate::fill::port::event::{Action, QuarantineRequest, RunFault, ServerState, Survey};
use crate::fill::port::fault::StoreFault;
use crate::fill::port::id::{RunId, Ticket};
use crate::fill::port::settings::Settings;
use crate::fill::port::store::{Answer, Change, Query, Write, Written};
use crate::fill::quarantine::JobRequest;
use crate::fill::store::Owner;

impl Filler {
    pub(super) fn configure(&mut self, now: Instant, settings: Settings, embedder_replaced: bool) {
        let before = std::mem::replace(&mut self.settings, settings);
        // Any change may be what fixes a rejected embedder.
        let restart = embedder_replaced || self.lane.rejection().is_some();
        if embedder_replaced {
            // Requests not handed out yet would be paid for twice.
            self.actions.retain(|action| !matches!(action, Action::Embed(_)));
            self.lane.reset(&self.settings);
        }
        self.lane.configure(&self.settings);
        self.schedule.configure(now, &before, &self.settings, restart);
        if before.rule != self.settings.rule || !self.settings.enabled {
            self.end_passes(Ending::Stop, None);
        }
        if !self.settings.enabled {
            self.refuse_runs(&RunFault::Disabled);
        }
    }

    pub(super) fn run(&mut self, now: Instant, run: Option<RunId>, graph: Option<GraphName>) {
        match (self.schedule.refusal(), run) {
            (None, _) => {
                self.lane.half_open();
                self.schedule.run(now, run, graph);
            }
            (Some(fault), Some(run)) => self.answer(run, Err(fault)),
            (Some(_), None) => {}
        }
    }

    /// A user asks about a graph's quarantine.
    pub(super) fn ask(
        &mut self,
        now: Instant,
        run: RunId,
        graph: GraphName,
        request: QuarantineRequest,
    ) {
        let reads_only = matches!(request, QuarantineRequest::List { .. });
        let server = self.schedule.server();
        // A replica can still be read.
        let readable = reads_only && server == ServerState::Replica;
        let fault = server.fault().filter(|_| !readable);
        let max_rows = self.schedule.max_rows();
        let opened = match fault {
            Some(fault) => Err(fault),
            None => self.quarantine.open(now, JobRequest { run, graph, request }, max_rows),
        };
        if let Err(fault) = opened {
            self.answer(run, Err(fault));
        }
    }

    pub(super) fn surveyed(&mut self, now: Instant, outcome: Result<Survey, StoreFault>) {
        match outcome {
            Ok(survey) => {
                if self.schedule.surveyed(now, survey, &self.settings) {
                    self.lane.half_open();
                }
            }
            Err(fault) => {
                self.schedule.not_surveyed(now);
                let Some(server) = fault.server() else { return };
                self.schedule.server_is(now, server);
                if let Some(fault) = server.fault() {
                    self.refuse_runs(&fault);
                    self.end_passes(Ending::Abandon, Some(&fault.to_string()));
                }
            }
        }
    }

    /// A read was answered.
    pub(super) fn read(
        &mut self,
        now: Instant,
        ticket: Ticket,
        outcome: Result<Answer, StoreFault>,
    ) {
        let Some(read) = self.store.answered(ticket) else { return };
        self.hand_over_read(now, &read.owner, &read.query, outcome);
    }

    pub(super) fn hand_over_read(
        &mut self,
        now: Instant,
        owner: &Owner,
        query: &Query,
        outcome: Result<Answer, StoreFault>,
    ) {
        match (owner, outcome) {
            (Owner::Job(run), outcome) => {
                self.quarantine.read(now, *run, query, outcome.map(Answer::marked));
            }
            (Owner::Pass(name), Ok(answer)) => {
                self.schedule.in_pass(name, |pass| pass.read(now, query, answer));
            }
            (Owner::Pass(name), Err(fault)) => {
                self.schedule.on_pass(name, |pass| pass.not_read(now, &fault));
                self.note_server(now, &fault);
            }
        }
    }

    /// A write has finished.
    pub(super) fn written(
        &mut self,
        now: Instant,
        write: Write,
        outcome: Result<Written, StoreFault>,
    ) {
        if let Ok(written) = &outcome {
            self.store.held(now, written);
        }
        // A write that was given up is left to the next pass, with its nodes.
        let Some(owner) = self.store.written(write.ticket) else { return };
        match (owner, write.change, outcome) {
            (Owner::Job(run), Change::Release(ids), outcome) => {
                let outcome = outcome.map(|written| written.ids.len());
                self.quarantine.wrote(now, run, ids, outcome);
            }
            (Owner::Pass(name), Change::Job(job), Ok(written)) => {
                let budget = self.settings.write_budget;
                self.schedule.in_pass(&name, |pass| pass.wrote(job, &written, budget));
            }
            (Owner::Pass(name), Change::Job(job), Err(fault)) => {
                self.schedule.on_pass(&name, |pass| pass.not_written(now, job, &fault));
                self.note_server(now, &fault);
            }
            (Owner::Job(_), Change::Job(_), _) | (Owner::Pass(_), Change::Release(_), _) => {
                debug_assert!(false, "a write came back to somebody else");
            }
        }
    }

    /// A fault may mean that the server as a whole cannot be filled.
    pub(super) fn note_server(&mut self, now: Instant, fault: &StoreFault) {
        if let Some(server) = fault.server() {
            self.schedule.server_is(now, server);
            self.end_passes(Ending::Abandon, Some(&fault.to_string()));
        }
    }

    /// Carries out what follows from the lane's outcomes.
    pub(super) fn follow(&mut self) {
        while let Some(follow) = self.lane.poll() {
            let passes = &mut self.schedule;
            match follow {
                Follow::Send(request, payer) => {
                    if let Some(graph) = payer {
                        passes.on_pass(&graph, Pass::note_request);
                    }
                    self.actions.push_back(Action::Embed(request));
                }
                Follow::Spent(graph, tokens) => passes.on_pass(&graph, |p| p.note_tokens(tokens)),
                Follow::Failed(graph, why) => passes.on_pass(&graph, |p| p.note_error(&why)),
                Follow::Truncated(graph, nodes) => {
                    passes.on_pass(&graph, |p| p.note_truncated(nodes));
                }
                Follow::Defer(graph, nodes) => passes.on_pass(&graph, |p| p.defer(nodes)),
                Follow::Write(graph, rows) => passes.on_pass(&graph, |p| p.accept(rows)),
                Follow::Requeue(batch) => {
                    passes.on_pass(&batch.graph.clone(), |p| p.requeue(batch));
                }
                Follow::Quarantine(batch, why) => {
                    passes.on_pass(&batch.graph.clone(), |p| p.quarantine(batch, &why));
                }
                Follow::EndPasses(why) => self.end_passes(Ending::Stop, Some(&why)),
                Follow::Answer(run, outcome) => self.answer(run, outcome),
            }
        }
    }
}
