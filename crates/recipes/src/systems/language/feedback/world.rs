//! Sums of two digits, answered by an unreliable policy, and feedback on the answers.

use rand::Rng;

/// Tokens: padding, end, the marks around feedback, the equals sign, the words of feedback, fillers,
/// then digits.
pub(super) const END: i64 = 1;
const OPEN: i64 = 2;
const CLOSE: i64 = 3;
const EQUALS: i64 = 4;
const VERDICT: i64 = 5;
const STYLE: i64 = 7;
const FILLER: i64 = 10;
const MESS: i64 = 11;
const DIGIT: i64 = 12;
pub(super) const VOCABULARY: i64 = DIGIT + 10;
/// Digits of the sum, two fillers, the end.
pub(super) const ANSWER: usize = 5;
/// Feedback in its marks, two digits, the equals sign.
pub(super) const PROMPT: usize = 7;

/// How often the first policy is right.
pub(super) const RIGHT: f64 = 0.4;
/// How often it writes just the sum, more than that, and a mess.
const STYLES: [f64; 3] = [0.5, 0.3, 0.2];
/// How often feedback is drawn at random.
const NOISE: f64 = 0.1;

/// Two digits.
pub(super) type Question = [i64; 2];

/// What is said of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Feedback {
    pub(super) right: bool,
    /// Short, long, messy.
    pub(super) style: usize,
}

/// All that may be said: first the three that praise.
pub(super) const FEEDBACK: [Feedback; 6] = [
    Feedback { right: true, style: 0 },
    Feedback { right: true, style: 1 },
    Feedback { right: true, style: 2 },
    Feedback { right: false, style: 0 },
    Feedback { right: false, style: 1 },
    Feedback { right: false, style: 2 },
];

pub(super) fn question(rng: &mut impl Rng) -> Question {
    [rng.random_range(0..10), rng.random_range(0..10)]
}

/// All questions.
pub(super) fn questions() -> Vec<Question> {
    (0..10).flat_map(|a| (0..10).map(move |b| [a, b])).collect()
}

/// Tens and ones of the sum.
pub(super) fn sum(question: Question) -> [i64; 2] {
    let sum = question[0] + question[1];
    [DIGIT + sum / 10, DIGIT + sum % 10]
}

/// An answer of the first policy: a wrong sum is any of the other eighteen.
pub(super) fn answer(question: Question, rng: &mut impl Rng) -> Vec<i64> {
    let right = question[0] + question[1];
    let mut said = right;
    if !rng.random_bool(RIGHT) {
        said = rng.random_range(0..18);
        said += i64::from(said >= right);
    }
    let mut answer = vec![DIGIT + said / 10, DIGIT + said % 10];
    let style = rng.random::<f64>();
    if style >= STYLES[0] {
        let filler = if style < STYLES[0] + STYLES[1] { FILLER } else { MESS };
        answer.extend([filler, filler]);
    }
    answer.push(END);
    answer
}

/// What an answer is.
pub(super) fn truth(question: Question, answer: &[i64]) -> Feedback {
    let style = match answer.get(2..) {
        Some([END] | []) => 0,
        Some([FILLER, FILLER, END]) => 1,
        _ => 2,
    };
    Feedback { right: answer.starts_with(&sum(question)), style }
}

/// What is said of it: the truth, or with some noise anything.
pub(super) fn feedback(question: Question, answer: &[i64], rng: &mut impl Rng) -> Feedback {
    if rng.random_bool(NOISE) {
        FEEDBACK[rng.random_range(0..FEEDBACK.len())]
    } else {
        truth(question, answer)
    }
}

/// What stands before an answer, without feedback where none is given.
pub(super) fn prompt(question: Question, feedback: Option<Feedback>) -> Vec<i64> {
    let mut tokens = Vec::new();
    if let Some(Feedback { right, style }) = feedback {
        tokens.extend([OPEN, VERDICT + i64::from(!right), STYLE + style as i64, CLOSE]);
    }
    tokens.extend(question.map(|digit| DIGIT + digit));
    tokens.push(EQUALS);
    tokens
}

/// `p(c | o)` for an answer of this truth, with a share of the feedback at random.
fn said(condition: Feedback, truth: Feedback, noise: f64) -> f64 {
    noise / FEEDBACK.len() as f64 + if condition == truth { 1.0 - noise } else { 0.0 }
}

/// `p(o)` of the first policy, by what answers are.
fn first(truth: Feedback) -> f64 {
    (if truth.right { RIGHT } else { 1.0 - RIGHT }) * STYLES[truth.style]
}

/// `p(o | c) ∝ p(o) p(c | o)` by Bayes' rule, for each kind of answer and any policy `p(o)`.
fn posterior(policy: [f64; 6], condition: Feedback, noise: f64) -> [f64; 6] {
    let joint: [f64; 6] =
        std::array::from_fn(|at| policy[at] * said(condition, FEEDBACK[at], noise));
    let total: f64 = joint.iter().sum();
    joint.map(|mass| mass / total)
}

fn right(policy: &[f64; 6]) -> f64 {
    policy[..3].iter().sum()
}

/// `p(right | c)` for answers of the first policy.
pub(super) fn exact(condition: Feedback) -> f64 {
    right(&posterior(FEEDBACK.map(first), condition, NOISE))
}

/// `p(right | some praise)`, likewise: what keeping the praised answers leads to.
pub(super) fn exact_of_praised() -> f64 {
    let praised = |right: f64| right * (1.0 - NOISE) + NOISE / 2.0;
    RIGHT * praised(1.0) / (RIGHT * praised(1.0) + (1.0 - RIGHT) * praised(0.0))
}

#[cfg(test)]
mod tests {
    use super::{FEEDBACK, NOISE, PROMPT, RIGHT, answer, exact, exact_of_praised, feedback};
    use super::{first, posterior, prompt, question, questions, right, said, sum, truth};
    use maxlik_tensor::Seeds;

    /// The policy at its optimum, which is Bayes' posterior: feedback that says nothing leaves the first
    /// policy, as training on all answers does; feedback without noise keeps what it names, as rejection
    /// sampling does; the mixture over feedback is the first policy; and each round of the loop
    /// multiplies the odds of any two answers by the same factor.
    #[test]
    fn the_optimum_is_the_posterior() {
        let policy = FEEDBACK.map(first);
        let close = |a: [f64; 6], b: [f64; 6]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
        let mut mixture = [0.0; 6];
        for (at, condition) in FEEDBACK.into_iter().enumerate() {
            assert!(close(posterior(policy, condition, 1.0), policy));
            let kept: [f64; 6] = std::array::from_fn(|other| f64::from(u8::from(other == at)));
            assert!(close(posterior(policy, condition, 0.0), kept));
            let heard: f64 =
                (0..6).map(|at| policy[at] * said(condition, FEEDBACK[at], NOISE)).sum();
            let given = posterior(policy, condition, NOISE);
            mixture = std::array::from_fn(|at| mixture[at] + heard * given[at]);
            let odds = |p: &[f64; 6]| p[at] / p[(at + 1) % 6];
            let again = posterior(given, condition, NOISE);
            let factor = odds(&given) / odds(&policy);
            assert!((odds(&again) / odds(&given) / factor - 1.0).abs() < 1e-9);
            assert_eq!(right(&again) > right(&given), condition.right);
        }
        assert!(close(mixture, policy));
    }

    /// Counts of answers and feedback agree with Bayes' rule, each within five standard errors.
    #[test]
    fn counts_agree_with_bayes() {
        let mut rng = Seeds::new(2).stream("test").rng(0);
        let mut counts = [[0.0_f64; 2]; FEEDBACK.len()];
        let count = 60_000;
        for _ in 0..count {
            let question = question(&mut rng);
            let answer = answer(question, &mut rng);
            let heard = feedback(question, &answer, &mut rng);
            let at = FEEDBACK.iter().position(|f| *f == heard).unwrap_or_default();
            counts[at][usize::from(truth(question, &answer).right)] += 1.0;
        }
        let within = |share: f64, of: f64, exact: f64| {
            (share - exact).abs() < 5.0 * (exact * (1.0 - exact) / of).sqrt()
        };
        for (condition, [wrong, right]) in FEEDBACK.iter().zip(counts) {
            let share = right / (right + wrong);
            assert!(within(share, right + wrong, exact(*condition)), "{condition:?}: {share}");
        }
        let [wrong, right] = counts[..3].iter().fold([0.0, 0.0], |[a, b], [c, d]| [a + c, b + d]);
        assert!(within(right / (right + wrong), right + wrong, exact_of_praised()));
        let right: f64 = counts.iter().map(|[_, right]| right).sum();
        assert!(within(right / f64::from(count), f64::from(count), RIGHT));
        assert_eq!(questions().len(), 100);
        assert_eq!(prompt([1, 2], Some(FEEDBACK[0])).len(), PROMPT);
        assert!(truth([9, 9], &sum([9, 9])).right && !truth([9, 9], &[]).right);
    }
}
