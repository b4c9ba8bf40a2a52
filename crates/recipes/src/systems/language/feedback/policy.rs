//! A causal transformer that answers, conditioned on feedback or not.

use super::super::super::fit::fit;
use super::world::{
    ANSWER, END, FEEDBACK, Feedback, PROMPT, Question, VOCABULARY, prompt, question, questions, sum,
};
use anyhow::Result;
use maxlik_model::{Batch, LanguageModel, Objective};
use maxlik_nn::decode::Generation;
use maxlik_nn::{
    Params, TransformerConfig, TransformerLanguageModel, TransformerLanguageModelConfig,
};
use maxlik_objectives::sequence::CrossEntropy;
use maxlik_tensor::{Seeds, host};
use maxlik_train::{OptimConfig, Schedule};
use rand::Rng;
use tch::{Device, Kind, Tensor};

/// A question, an answer, and what it is conditioned on.
#[derive(Debug, Clone)]
pub(super) struct Example {
    pub(super) question: Question,
    pub(super) answer: Vec<i64>,
    pub(super) condition: Option<Feedback>,
}

const WIDTH: usize = PROMPT + ANSWER;

/// The policy and its parameters.
#[derive(Debug)]
pub(super) struct Policy {
    params: Params,
    model: TransformerLanguageModel,
    seed: u64,
}

impl Policy {
    pub(super) fn new(seed: u64) -> Result<Self> {
        let params = Params::new(seed, Kind::Float, Device::Cpu);
        let transformer =
            TransformerConfig { width: 64, heads: 4, dropout: 0.1, ..TransformerConfig::default() };
        let config =
            TransformerLanguageModelConfig { transformer, length: WIDTH as i64, tied: false };
        let model = TransformerLanguageModel::new(&params.root(), VOCABULARY, &config)?;
        Ok(Self { params, model, seed })
    }

    /// Maximum likelihood of the answers: of an example only the answer and its end count.
    pub(super) fn fit(&self, examples: &[Example], steps: u64, lr: f64, round: u64) -> Result<()> {
        let rows = rows(examples)?;
        let optim = OptimConfig {
            steps,
            lr,
            clip: 1.0,
            weight_decay: 0.01,
            schedule: Schedule::Cosine { warmup: 20, last: 0.0 },
            ..OptimConfig::default()
        };
        fit(&self.params, &optim, self.seed + 1000 * round, |_| {
            let count = examples.len() as i64;
            let chosen = Tensor::f_randint(count, [128], (Kind::Int64, Device::Cpu))?;
            let pick = |t: &Tensor| t.f_index_select(0, &chosen);
            let weight = rows.weight.as_ref().map(pick).transpose()?;
            let batch = Batch { weight, ..Batch::new(pick(&rows.data)?) };
            Ok(CrossEntropy.loss(&self.model as &dyn LanguageModel, &batch)?.value)
        })
    }

    /// The probability of the right digits, exactly, the mean over all questions.
    pub(super) fn accuracy(&self, condition: Option<Feedback>) -> Result<f64> {
        let _no_grad = tch::no_grad_guard();
        let rows: Vec<Vec<i64>> = questions()
            .into_iter()
            .map(|question| [prompt(question, condition), sum(question).to_vec()].concat())
            .collect();
        let width = rows[0].len() as i64;
        let tokens = Tensor::f_from_slice(&rows.concat())?.f_view([-1, width])?;
        let given = tokens.f_narrow(1, 0, width - 1)?;
        let log_q = self.model.logits(&given)?.f_log_softmax(-1, Kind::Double)?;
        let digits = tokens.f_narrow(1, width - 2, 2)?;
        let log_q = log_q.f_narrow(1, width - 3, 2)?;
        let own = log_q.f_gather(-1, &digits.f_unsqueeze(-1)?, false)?;
        let each = own.f_sum_dim_intlist([1_i64, 2].as_slice(), false, Kind::Double)?.f_exp()?;
        Ok(host::scalar(&each.f_mean(Kind::Double)?)?)
    }

    /// The accuracy under praise, the mean over the three kinds of it.
    pub(super) fn praised(&self) -> Result<f64> {
        let each = FEEDBACK[..3].iter().map(|praise| self.accuracy(Some(*praise)));
        Ok(each.sum::<Result<f64>>()? / 3.0)
    }

    /// Answers to random questions, `each` to one of them, under random praise or nothing: questions,
    /// answers, and under what they were drawn.
    pub(super) fn answers(&self, round: u64, count: usize, praise: bool) -> Result<Vec<Example>> {
        let stream = Seeds::new(self.seed).stream(if praise { "praised" } else { "plain" });
        let mut rng = stream.rng(round);
        let mut examples: Vec<Example> = (0..count)
            .map(|_| {
                let condition = praise.then(|| FEEDBACK[rng.random_range(0..3)]);
                Example { question: question(&mut rng), answer: Vec::new(), condition }
            })
            .collect();
        let prompts: Vec<Vec<i64>> =
            examples.iter().map(|e| prompt(e.question, e.condition)).collect();
        let prompts = Tensor::f_from_slice(&prompts.concat())?.f_view([count as i64, -1])?;
        stream.seed_torch(round);
        let generation =
            Generation { tokens: ANSWER as i64, end: Some(END), ..Generation::default() };
        let drawn = generation.run(&mut *self.model.session(), &prompts)?.sequences()?;
        for (example, answer) in examples.iter_mut().zip(drawn) {
            example.answer = answer;
        }
        Ok(examples)
    }
}

/// Examples as rows: prompt, answer, padding that does not count.
fn rows(examples: &[Example]) -> Result<Batch> {
    let (mut tokens, mut weight) = (Vec::new(), Vec::new());
    for example in examples {
        let mut row = prompt(example.question, example.condition);
        let given = row.len();
        row.extend(&example.answer);
        let used = row.len();
        row.resize(WIDTH, 0);
        tokens.extend(row);
        weight.extend((0..WIDTH).map(|t| f32::from(u8::from((given..used).contains(&t)))));
    }
    let shape = [examples.len() as i64, WIDTH as i64];
    Ok(Batch {
        data: Tensor::f_from_slice(&tokens)?.f_view(shape)?,
        context: None,
        weight: Some(Tensor::f_from_slice(&weight)?.f_view(shape)?),
    })
}

#[cfg(test)]
mod tests {
    use super::super::world::{FEEDBACK, VOCABULARY, answer, sum};
    use super::{Example, Policy, rows};
    use tch::Kind;

    /// Only answers count, a policy that knows nothing is right by chance, and training on one answer
    /// makes it certain.
    #[test]
    fn examples_and_accuracy() -> anyhow::Result<()> {
        let mut rng = maxlik_tensor::Seeds::new(1).stream("test").rng(0);
        let examples: Vec<Example> = (0..40)
            .map(|i| Example {
                question: [i % 10, i / 10],
                answer: answer([i % 10, i / 10], &mut rng),
                condition: (i % 2 == 0).then_some(FEEDBACK[0]),
            })
            .collect();
        let batch = rows(&examples)?;
        let counted = batch.weight.map_or(0.0, |w| w.sum(Kind::Double).double_value(&[]));
        assert_eq!(counted, examples.iter().map(|e| e.answer.len()).sum::<usize>() as f64);
        let policy = Policy::new(0)?;
        let chance = (VOCABULARY as f64).powi(-2);
        assert!((policy.accuracy(Some(FEEDBACK[0]))? / chance - 1.0).abs() < 0.3);
        let drawn = policy.answers(0, 8, true)?;
        assert!(drawn.iter().all(|e| e.condition.is_some() && !e.answer.is_empty()));
        let one = [Example { question: [0, 0], answer: sum([0, 0]).to_vec(), condition: None }];
        policy.fit(&one, 40, 3e-3, 0)?;
        // All questions now get the sum 0, which is right for one of a hundred.
        assert!((policy.accuracy(None)? - 0.01).abs() < 0.005);
        Ok(())
    }
}
