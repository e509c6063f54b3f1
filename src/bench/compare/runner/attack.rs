//! Attacks on a target.

use super::Runner;
use crate::bench::compare::attack::{Attack, run};
use crate::bench::compare::comparison::Point;
use crate::bench::compare::plan::Step;
use crate::bench::compare::target::Target;
use crate::bench::generator::Load;

impl Runner<'_> {
    /// Whether the group is an attack that the target is spared.
    pub(super) fn leaves_out(&mut self, target: &Target, group: &[Step]) -> bool {
        let strength = &self.comparison.plan.strength;
        let mut attacks = group.iter().filter_map(|step| step.attack);
        let Some(why) = attacks.find_map(|attack| attack.left_out(target.protocol, strength))
        else {
            return false;
        };
        let sentence = format!("{}: {why}", target.name);
        let left_out = &mut self.comparison.left_out;
        if !left_out.contains(&sentence) {
            left_out.push(sentence);
        }
        true
    }

    /// Attacks a target. What good clients lose is a figure; a target that answers nobody
    /// after it has failed.
    pub(super) fn attack(
        &mut self,
        attack: Attack,
        step: &Step,
        round: usize,
        index: usize,
        load: &Load,
    ) -> Result<(), String> {
        let strength = self.comparison.plan.strength.clone();
        let Some(attacked) = run(attack, &strength, load, self.stop)? else {
            return Ok(());
        };
        if attacked.after_ns.is_none() {
            let (name, attack) = (&self.targets[index].name, attack.name());
            self.note(format!("{name}: after {attack} it answered nobody for 5 s"));
        }
        self.comparison.points.push(Point {
            target: index,
            round,
            scenario: step.scenario,
            x: step.x,
            measurement: None,
            bytes_each: None,
            idle: 0,
            attacked: Some(Box::new(attacked)),
        });
        Ok(())
    }
}
