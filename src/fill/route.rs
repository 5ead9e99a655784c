//! Routes each event to the machines it concerns.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use crate::entity::GraphName;
use crate::fill::Filler;
use crate::fill::lane::{Follow, Lane};
use crate::fill::pass::{Ending, Pass};
use crate::fill::port::event::{About, Action, QuarantineRequest};
use crate::fill::port::fault::StoreFault;
use crate::fill::port::id::{RunId, Ticket};
use crate::fill::port::server::{RunFault, ServerState, Survey};
use crate::fill::port::settings::Settings;
use crate::fill::port::store::{Answer, Change, Query, Write, Written};
use crate::fill::quarantine::JobRequest;
use crate::fill::store::Owner;
use crate::rule::Rule;
use crate::rule::name::{EmbedderName, RuleName};

impl Filler {
    pub(super) fn configure(
        &mut self,
        now: Instant,
        settings: Settings,
        replaced: &BTreeSet<EmbedderName>,
    ) {
        let before = std::mem::replace(&mut self.settings, settings);
        // Any change may be what fixes a rejected embedder.
        let restart = !replaced.is_empty() || self.lanes.is_any_rejected();
        // Requests not handed out yet would be paid for twice.
        let kept = |action: &Action| !matches!(action, Action::Embed(request) if replaced.contains(&request.embedder));
        self.actions.retain(kept);
        self.lanes.configure(&self.settings.lanes, replaced);
        self.schedule.configure(now, &before, &self.settings, restart);
        if before.rules != self.settings.rules {
            self.schedule.end_changed(&self.settings.rules);
        }
        if !self.settings.enabled {
            self.end_passes(Ending::Stop, None);
            self.refuse_runs(&RunFault::Disabled);
        }
        self.follow();
        self.lanes.keep(&self.settings.lanes);
    }

    pub(super) fn run(
        &mut self,
        now: Instant,
        run: Option<RunId>,
        graph: Option<GraphName>,
        rule: Option<&RuleName>,
    ) {
        let wanted = match (self.schedule.refusal(), graph) {
            (Some(fault), _) => Err(fault),
            (None, None) => Ok(None),
            (None, Some(graph)) => self.rules(&graph, rule).map(|rules| Some((graph, rules))),
        };
        match (wanted, run) {
            (Ok(wanted), _) => {
                self.lanes.each(Lane::half_open);
                self.schedule.run(now, run, wanted);
            }
            (Err(fault), Some(run)) => self.answer(run, Err(fault)),
            (Err(_), None) => {}
        }
    }

    /// The rules that apply to a graph, or the one that was named.
    fn rules(
        &self,
        graph: &GraphName,
        rule: Option<&RuleName>,
    ) -> Result<Vec<Arc<Rule>>, RunFault> {
        let rules = self.settings.rules.of(graph);
        let Some(name) = rule else {
            let none = || RunFault::NoRules(graph.clone());
            return if rules.is_empty() { Err(none()) } else { Ok(rules) };
        };
        let rule = rules.into_iter().find(|rule| rule.name == *name);
        let none = || RunFault::NoRule(graph.clone(), name.clone());
        rule.map(|rule| vec![rule]).ok_or_else(none)
    }

    /// A user asks about a graph's quarantine.
    pub(super) fn ask(
        &mut self,
        now: Instant,
        run: RunId,
        about: About,
        request: QuarantineRequest,
    ) {
        let About { graph, rule } = about;
        let reads_only = matches!(request, QuarantineRequest::List { .. });
        let server = self.schedule.server();
        // A replica can still be read.
        let readable = reads_only && server == ServerState::Replica;
        let fault = server.fault().filter(|_| !readable);
        let max_rows = self.schedule.max_rows();
        let rules = fault.map_or_else(|| self.rules(&graph, rule.as_ref()), Err);
        let opened = rules.and_then(|rules| {
            self.quarantine.open(now, JobRequest { run, graph, rules, request }, max_rows)
        });
        if let Err(fault) = opened {
            self.answer(run, Err(fault));
        }
    }

    pub(super) fn surveyed(&mut self, now: Instant, outcome: Result<Survey, StoreFault>) {
        match outcome {
            Ok(survey) => {
                if self.schedule.surveyed(now, survey, &self.settings) {
                    self.lanes.each(Lane::half_open);
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
            (Owner::Pass(binding), Ok(answer)) => {
                self.schedule.in_pass(binding, |pass| pass.read(now, query, answer));
            }
            (Owner::Pass(binding), Err(fault)) => {
                self.schedule.on_pass(binding, |pass| pass.not_read(now, &fault));
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
            (Owner::Job(run), Change::Release(entities), outcome) => {
                let outcome = outcome.map(|written| written.ids.len());
                self.quarantine.wrote(now, run, entities, outcome);
            }
            (Owner::Pass(binding), Change::Job(job), Ok(written)) => {
                let budget = self.settings.write_budget;
                self.schedule.in_pass(&binding, |pass| pass.wrote(job, &written, budget));
            }
            (Owner::Pass(binding), Change::Job(job), Err(fault)) => {
                self.schedule.on_pass(&binding, |pass| pass.not_written(now, job, &fault));
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
        while let Some((embedder, follow)) = self.lanes.poll() {
            let passes = &mut self.schedule;
            match follow {
                Follow::Send(request, payer) => {
                    if let Some(binding) = payer {
                        passes.on_pass(&binding, Pass::note_request);
                    }
                    self.actions.push_back(Action::Embed(request));
                }
                Follow::Spent(to, tokens) => passes.on_pass(&to, |p| p.note_tokens(tokens)),
                Follow::Failed(to, why) => passes.on_pass(&to, |p| p.note_error(&why)),
                Follow::Truncated(to, nodes) => {
                    passes.on_pass(&to, |p| p.note_truncated(nodes));
                }
                Follow::Defer(to, nodes) => passes.on_pass(&to, |p| p.defer(nodes)),
                Follow::Write(to, rows) => passes.on_pass(&to, |p| p.accept(rows)),
                Follow::Requeue(batch) => {
                    passes.on_pass(&batch.binding.clone(), |p| p.requeue(batch));
                }
                Follow::Quarantine(batch, why) => {
                    passes.on_pass(&batch.binding.clone(), |p| p.quarantine(batch, &why));
                }
                Follow::EndPasses(why) => {
                    passes.each_pass_of(&embedder, |pass| pass.end(Ending::Stop, Some(&why)));
                }
                Follow::Answer(run, outcome) => self.answer(run, outcome),
            }
        }
    }
}
