"""Writes reference.txt: the names and shapes of an adapter of PEFT for the model of `tests.rs`.

python reference.py > reference.txt    (peft 0.21, transformers 4.57, torch 2.15)
"""

from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from transformers import LlamaConfig, LlamaForCausalLM

model = LlamaForCausalLM(
    LlamaConfig(
        vocab_size=16,
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        tie_word_embeddings=True,
    )
)
config = LoraConfig(r=3, target_modules=["q_proj", "v_proj", "down_proj"], task_type="CAUSAL_LM")
state = get_peft_model_state_dict(get_peft_model(model, config))
for name in sorted(state):
    print(name, list(state[name].shape))
