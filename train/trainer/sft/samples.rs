//! What a run learns from: one set of samples, or several that are mixed.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use data::mixture::{Mixture, Order};
use data::{Sample, Tokenizer};

use crate::config::SftConfig;
use model::ModelConfig;

/// One set of samples, or several with weights.
pub struct SampleSet {
    sources: Vec<Vec<Sample>>,
    weights: Vec<f64>,
    /// BLAKE3 of the manifests: a run is not resumed on other samples.
    pub hash: String,
}

impl SampleSet {
    /// Reads the set in `folder`, or without one those of `[[sft.mixture]]`, for a model of `shape`.
    ///
    /// # Errors
    ///
    /// When there is no sample, or a set is damaged, too long for the model or made with another tokenizer.
    pub fn read(
        folder: Option<&Path>,
        config: &SftConfig,
        shape: &ModelConfig,
        tokenizer: &Tokenizer,
    ) -> Result<Self> {
        let sources: Vec<(&Path, f64)> = match folder {
            Some(folder) if config.mixture.is_empty() => vec![(folder, 1.0)],
            Some(_) => bail!(
                "both `--samples` and `[[sft.mixture]]` name samples{}",
                data::Hint("leave out one of them")
            ),
            None => config
                .mixture
                .iter()
                .map(|source| (source.samples.as_path(), source.weight))
                .collect(),
        };
        if sources.is_empty() {
            bail!(
                "no samples are named{}",
                data::Hint(
                    "add `--data FILE` or `--samples DIR`, or `[[sft.mixture]]` to the config"
                )
            );
        }
        sources
            .iter()
            .try_for_each(|(folder, _)| check_tokenizer(folder, tokenizer))?;
        let hashes: Vec<String> = sources
            .iter()
            .map(|(folder, _)| hash_of(folder))
            .collect::<Result<_>>()?;
        let hash = match &hashes[..] {
            [one] => one.clone(),
            several => blake3::hash(several.concat().as_bytes())
                .to_hex()
                .to_string(),
        };
        let weights = sources.iter().map(|(_, weight)| *weight).collect();
        let sources: Vec<Vec<Sample>> = sources
            .iter()
            .map(|(folder, _)| read_samples(folder, shape))
            .collect::<Result<_>>()?;
        let set = SampleSet {
            sources,
            weights,
            hash,
        };
        if set.len() == 0 {
            bail!("there is no sample to train on");
        }
        set.mixture(0).context("in `[[sft.mixture]]`")?;
        Ok(set)
    }

    /// Samples in all.
    #[allow(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.sources.iter().map(Vec::len).sum()
    }

    /// Tokens of every sample.
    pub fn lengths(&self) -> impl Iterator<Item = usize> + '_ {
        self.sources
            .iter()
            .flatten()
            .map(|sample| sample.tokens.len())
    }

    fn mixture(&self, seed: u64) -> Result<Mixture> {
        let sources: Vec<(usize, f64)> = self
            .sources
            .iter()
            .map(Vec::len)
            .zip(self.weights.iter().copied())
            .collect();
        Ok(Mixture::new(&sources, seed)?)
    }

    /// The `count` samples of `step`: a function of the seed and the step alone.
    pub fn of_step(&self, step: u64, count: usize, seed: u64) -> Vec<&Sample> {
        let positions = step * count as u64..(step + 1) * count as u64;
        match &self.sources[..] {
            [samples] => {
                let order = Order::new(samples.len(), seed);
                positions.map(|at| &samples[order.index(at)]).collect()
            }
            sources => {
                let mixture = self
                    .mixture(seed)
                    .expect("the sources were mixed when they were read");
                positions
                    .map(|at| mixture.draw(at))
                    .map(|(source, at)| &sources[source][at])
                    .collect()
            }
        }
    }
}

/// Reads samples and refuses those that the model cannot hold.
///
/// # Errors
///
/// When the set is damaged, or a sample is longer than the model's context or has an id beyond its vocabulary.
pub fn read_samples(folder: &Path, shape: &ModelConfig) -> Result<Vec<Sample>> {
    let samples = data::store::read_samples(folder).context("while reading the samples")?;
    for (row, sample) in samples.iter().enumerate() {
        if sample.tokens.len() > shape.max_position_embeddings {
            bail!(
                "`{}`, row {row} (`{}`) has {} tokens, but the model's context is {}{}",
                folder.display(),
                sample.origin,
                sample.tokens.len(),
                shape.max_position_embeddings,
                data::Hint(format_args!(
                    "build the samples with `--set data.max_tokens={}`",
                    shape.max_position_embeddings
                ))
            );
        }
        if let Some(id) = sample
            .tokens
            .iter()
            .find(|&&id| id as usize >= shape.vocab_size)
        {
            bail!(
                "`{}`, row {row} (`{}`) has the token {id}, but the model knows {}{}",
                folder.display(),
                sample.origin,
                shape.vocab_size,
                data::Hint(
                    "the samples were made with another tokenizer; build them again with this model's"
                )
            );
        }
    }
    Ok(samples)
}

fn hash_of(samples: &Path) -> Result<String> {
    let manifest = data::store::read_manifest(samples)?;
    Ok(blake3::hash(&serde_json::to_vec(&manifest)?)
        .to_hex()
        .to_string())
}

/// Refuses samples that were made with another tokenizer than the model's.
///
/// # Errors
///
/// When they were.
pub fn check_tokenizer(samples: &Path, tokenizer: &Tokenizer) -> Result<()> {
    if data::store::read_manifest(samples)?.tokenizer != tokenizer.hash()? {
        bail!(
            "the samples in `{}` were made with another tokenizer than the model's{}",
            samples.display(),
            data::Hint("build them again with `train data samples --tokenizer` and this model")
        );
    }
    Ok(())
}
