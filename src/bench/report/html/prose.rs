//! What the page says for those who want to know more.

use maud::{Markup, html};

use crate::bench::compare::Comparison;
use crate::bench::compare::models::{PROTOCOL_AND_STORE, own_costs};
use crate::bench::compare::plan::{ATTACK_ROUNDS_MAX, GROWTH_ROUNDS_MAX};
use crate::bench::compare::scenario::Scenario;
use crate::bench::compare::summary::others_share;
use crate::bench::figures;
use crate::bench::report::words;

/// What the figures mean.
pub(super) fn how_to_read() -> Markup {
    let clauses: Vec<_> = own_costs().map(|cost| cost.clause).collect();
    html! {
        p {
            "A figure is the median over rounds; its interval holds the true median in 19 of 20 comparisons. "
            "A ratio is the median of the ratios in each round. Where its interval reaches within 2 % of 1, these "
            "rounds can't tell the two servers apart; where all of it is within 10 % of 1, they do the same. "
            "Rounds that fall into two clusters have no median that a second run would repeat, so none is told."
        }
        p {
            "An echo returns bytes unread: it is what the kernel allows for a way of moving bytes. A server's share "
            "of its rate is told as far as it is below all of it, and as a bound where the generator was what "
            "bounded one of the two. Speicher's requests are JSON, those of Redis and memcached are not; that "
            "difference is not a model's."
        }
        p {
            "Latency is that of an open loop: requests arrive at random at the stated share of what the server itself "
            "reached with single requests, and wait from the moment they were due. Shares of different servers are "
            "different rates."
        }
        p {
            "The memory of a connection is what a server that is told to serve 4,000 more, and has them, takes more "
            "than one without, divided by 4,000: so the worker that serves it in the threads model is in it."
        }
        p {
            "Processor time: what the " (PROTOCOL_AND_STORE) " model uses over its echo is protocol and store, because "
            "it does both on the thread that owns the socket. What then is left is, " (clauses.join(", and ")) ". These "
            "are differences between servers in the same round, not measured within one, so what may as well be "
            "nothing is not told."
        }
    }
}

/// What was done, and on what.
pub(super) fn conditions(comparison: &Comparison) -> Markup {
    let (machine, plan) = (&comparison.machine, &comparison.plan);
    let has = |scenario: Scenario| {
        let mut steps = plan.groups.iter().flatten();
        steps.any(|step| step.scenario.name() == scenario.name())
    };
    let rounds = |count| figures::counted(count, "round");
    html! {
        p {
            "The same requests went to each server in turn, in " (rounds(plan.rounds))
            " (A B C, then C B A)"
            @for (scenario, rounds_max) in [
                (Scenario::GrowthKeys, GROWTH_ROUNDS_MAX), (Scenario::Attack, ATTACK_ROUNDS_MAX),
            ] {
                @if has(scenario) {
                    ", " (scenario.name()) " in " (rounds(plan.rounds.min(rounds_max)))
                }
            }
            ", with a fresh server each time. " (words::cores(comparison)) " 80 % of the requests are GETs and keys "
            "are chosen evenly, unless the scenario says otherwise."
        }
        p {
            (machine.processor) ", " (figures::counted(machine.cores, "core")) ", "
            (figures::bytes(machine.memory_bytes as f64)) " of memory"
            @if machine.is_virtual { ", a virtual machine" }
            ". " (machine.system) ", Linux " (machine.kernel) ". Loopback. Before it began, the load average was "
            (machine.load_before) "."
            @if let Some(share) = others_share(comparison) {
                " Others took " (format!("{:.0}", share * 100.0)) " % of the processors' time while loads were measured."
            }
            " It took "
            (format!("{:.0}", comparison.seconds)) " s; each load"
            @if has(Scenario::Attack) { " but those of attacks" }
            " ran for "
            (format!("{:.2}", plan.time.as_secs_f64())) " s after "
            (format!("{:.2}", plan.warmup.as_secs_f64())) " s that do not count, from "
            (figures::counted(plan.threads, "thread")) " of the generator."
        }
    }
}
