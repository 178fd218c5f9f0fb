//! The generated cases, by what they are about.

mod fields;
mod guards;
mod limits;
mod matching;
mod redirects;
mod responses;
mod rewriting;
mod targets;

use std::net::SocketAddr;

use super::case::Case;
use super::dice::Dice;

/// All of them. Copies go to `mirror`.
pub(super) fn all(dice: &mut Dice, mirror: SocketAddr) -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(matching::cases(dice));
    cases.extend(rewriting::cases(dice));
    cases.extend(redirects::cases(dice));
    cases.extend(fields::cases(dice));
    cases.extend(limits::cases(dice));
    cases.extend(guards::cases(dice));
    cases.extend(responses::cases(dice, mirror));
    cases
}
