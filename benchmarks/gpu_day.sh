#!/usr/bin/env bash
# All that is to be tried and measured on the day a GPU is at hand, in order: what is cheap and may be wrong comes first.
#
#     benchmarks/gpu_day.sh                               the toy base, and full-size SDXL with random weights
#     SDXL=model.safetensors benchmarks/gpu_day.sh        short real trainings on that base besides
#
# It can be stopped and started again: what is done is not repeated, what failed is tried again. Each step leaves what it
# printed in build/gpu_day/<step>.log; DAY=<folder> is another folder. It ends with 1 if a step failed.
set -u
cd "$(dirname "$0")/.."
day=${DAY:-build/gpu_day}
python=${PYTHON:-.venv/bin/python}
toy=(train.py lora=fuzzybear training.device=cuda training.max_steps=300 tracker=none sampling.every_epochs=0
  features=none training.state_every_steps=50)
failed=0
mkdir -p "$day"

step() { # NAME COMMAND...: run it, unless it is done
  local name=$1 started=$SECONDS
  shift
  if [ -e "$day/$name.done" ]; then
    echo "done before  $name"
  elif "$@" >"$day/$name.log" 2>&1; then
    echo "$((SECONDS - started)) s" >"$day/$name.done"
    echo "done         $name, $((SECONDS - started)) s"
  else
    failed=1
    echo "FAILED       $name: $day/$name.log"
  fi
}

train() { # NAME OVERRIDES...: the toy base on the GPU, in a folder of its own
  local folder=$day/$1
  shift
  rm -rf "$folder"
  "$python" "${toy[@]}" output_root="$folder" "$@"
}

same() { # NAME NAME: two trainings ended with the same weights; if not, how far apart are they?
  "$python" - "$day/$1" "$day/$2" <<'END'
import sys
import torch
from safetensors.torch import load_file
one, other = (load_file(f"{folder}/fuzzybear/v6/FuzzyBear_v6.safetensors") for folder in sys.argv[1:])
differing = [name for name in one if not torch.equal(one[name], other[name])]
left, right = (torch.cat([tensors[name].double().flatten() for name in sorted(one)]) for tensors in (one, other))
cosine = torch.nn.functional.cosine_similarity(left, right, dim=0).item()
sys.exit(f"{len(differing)} of {len(one)} tensors differ; cosine {cosine:.9f}" if differing else 0)
END
}

twice() { # NAME OVERRIDES...: the same command twice
  local name=$1
  shift
  train "$name-1" "$@" && train "$name-2" "$@" && same "$name-1" "$name-2"
}

undetermined() { # NAME: the same command twice, where weights may differ: its log tells how far
  train "$1-1" && train "$1-2" && { same "$1-1" "$1-2" || true; }
}

interrupted() { # NAME OTHER OVERRIDES...: stopped in the middle and resumed, it ends as OTHER did
  local name=$1 other=$2
  shift 2
  rm -rf "${day:?}/$name"
  "$python" "${toy[@]}" output_root="$day/$name" "$@" &
  local running=$!
  while kill -0 "$running" && ! ls "$day/$name"/fuzzybear/v6/state/*.safetensors; do sleep 0.2; done
  kill -INT "$running"
  wait "$running"
  "$python" "${toy[@]}" output_root="$day/$name" "$@" resume=v6 && same "$name" "$other"
}

each_gpu() { # OVERRIDES...: one version, stepped by all GPUs
  "$(dirname "$python")/accelerate" launch --multi_gpu --num_processes "$gpus" "${toy[@]}" output_root="$day/several" "$@"
}

real() { # NAME OVERRIDES...: a short training of SDXL, with samples
  local folder=$day/$1
  shift
  rm -rf "$folder"
  "$python" train.py lora=fuzzybear base_model=sdxl "base_model.path=$SDXL" training.device=cuda \
    training.max_steps=40 tracker=none output_root="$folder" "$@"
}

step machine nvidia-smi
gpus=$(nvidia-smi -L 2>/dev/null | grep -c '^GPU ')

# Does it train at all, with everything that has code of its own on a GPU?
for precision in no bf16 fp16; do step "toy-$precision" train "toy-$precision" training.mixed_precision=$precision; done
for network in lora loha lokr full; do step "toy-$network" train "toy-$network" network=$network; done
step toy-dora train toy-dora network.dora=true
step toy-convolutions train toy-convolutions network.convolutions=true
for optimizer in adamw adamw8bit lion lion8bit adafactor; do
  step "toy-$optimizer" train "toy-$optimizer" optimizer=$optimizer
done
step toy-prodigy train toy-prodigy optimizer=prodigy optimizer.lr=1 optimizer.text_encoder_lr=1
step toy-schedule-free train toy-schedule-free optimizer=adamw_schedule_free scheduler=constant
for kind in int8 nf4; do step "toy-$kind" train "toy-$kind" base_model.quantization=$kind; done
step toy-low-memory train toy-low-memory preset=low_vram
step toy-frozen-text train toy-frozen-text optimizer.text_encoder_lr=0 training.ema_decay=0.99
step toy-compiled train toy-compiled training.compile=true
step toy-samples train toy-samples sampling.every_epochs=1 features=toy
[ "$gpus" -gt 1 ] && step toy-several each_gpu

# Is it the same each time? Without training.deterministic it need not be: that step tells how far apart.
step deterministic twice deterministic training.deterministic=true
step deterministic-resume interrupted deterministic-resume deterministic-1 training.deterministic=true
step deterministic-fp16 twice deterministic-fp16 training.deterministic=true training.mixed_precision=fp16
step undetermined undetermined undetermined

# How fast, and how much memory: the tables of docs/sdxl.md.
step step-eager "$python" benchmarks/sdxl_step.py --only eager
step step-compiled "$python" benchmarks/sdxl_step.py --only compiled
step forecast "$python" benchmarks/cards.py

if [ -n "${SDXL:-}" ]; then
  step real-nf4 real real-nf4 preset=low_vram base_model.quantization=nf4
  step real-low-memory real real-low-memory preset=low_vram
  step real-checkpointing real real-checkpointing training.batch_size=4 training.gradient_checkpointing=true
  step real-batch-1 real real-batch-1 training.batch_size=1 training.gradient_accumulation=4
  step real-batch-4 real real-batch-4 training.batch_size=4
  step real-deterministic real real-deterministic training.batch_size=4 training.deterministic=true
  step real-full real real-full network=full training.batch_size=1 training.gradient_checkpointing=true
fi
exit $failed
