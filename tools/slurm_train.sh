#!/usr/bin/env bash
# Usage: tools/slurm_train.sh PARTITION JOB_NAME CONFIG [arguments of train.py]
# NODES (1), GPUS_PER_NODE (8), CPUS_PER_GPU (8), PORT and SRUN_ARGS may be set.
# Slurm starts one torch launcher on each node. It starts one process per GPU.
set -euo pipefail
if [[ ${3:--} == -* ]]; then
    echo "Usage: tools/slurm_train.sh PARTITION JOB_NAME CONFIG [arguments of train.py]" >&2
    exit 1
fi
PARTITION=$1
JOB_NAME=$2
CONFIG=$3
GPUS_PER_NODE=${GPUS_PER_NODE:-8}
TRAIN=$(dirname "$0")/train.py
export GPUS_PER_NODE TRAIN CONFIG PORT=${PORT:-29500}
# Only the nodes know what differs between them, so it is expanded there.
# shellcheck disable=SC2016
LAUNCH='exec python -u -m torch.distributed.run \
    --nnodes="$SLURM_NNODES" --node_rank="$SLURM_NODEID" \
    --master_addr="$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)" \
    --master_port="$PORT" --nproc_per_node="$GPUS_PER_NODE" \
    "$TRAIN" "$CONFIG" --launcher pytorch "$@"'
# shellcheck disable=SC2086
exec srun -p "$PARTITION" --job-name="$JOB_NAME" \
    --nodes="${NODES:-1}" --ntasks="${NODES:-1}" --ntasks-per-node=1 \
    --gres=gpu:"$GPUS_PER_NODE" \
    --cpus-per-task="$((GPUS_PER_NODE * ${CPUS_PER_GPU:-8}))" \
    --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    bash -c "$LAUNCH" bash "${@:4}"
