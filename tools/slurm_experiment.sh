#!/usr/bin/env bash
# Usage: tools/slurm_experiment.sh PARTITION NUM_JOBS EXPERIMENT [arguments of
# experiment.py]
# The workers of an experiment as an array job: NUM_JOBS jobs, each with its own GPUs
# and one worker, which takes runs until none is left. All share one --storage, which
# has to be on a file system that all nodes see. A job that ends early loses its run
# only; submit the same command again to go on.
# GPUS_PER_JOB (1), CPUS_PER_GPU (8), TIME and SBATCH_ARGS may be set. A run that wants
# more processes than its job has GPUs uses those that there are.
set -euo pipefail
if [[ ${3:--} == -* ]]; then
    echo "Usage: tools/slurm_experiment.sh PARTITION NUM_JOBS EXPERIMENT [arguments of experiment.py]" >&2
    exit 1
fi
PARTITION=$1
JOBS=$2
EXPERIMENT=$3
GPUS_PER_JOB=${GPUS_PER_JOB:-1}
COMMAND=(python -u "$(dirname "$0")/experiment.py" run "$EXPERIMENT" --workers 1
         "${@:4}")
CPUS=$((GPUS_PER_JOB * ${CPUS_PER_GPU:-8}))
printf -v QUOTED '%q ' "${COMMAND[@]}"
# Since Slurm 22.05 srun does not take the number of cores from sbatch.
# shellcheck disable=SC2086
exec sbatch -p "$PARTITION" --job-name="$(basename "$EXPERIMENT" .py)" \
    --array="1-$JOBS" --ntasks=1 --gres=gpu:"$GPUS_PER_JOB" \
    --cpus-per-task="$CPUS" ${TIME:+--time="$TIME"} ${SBATCH_ARGS:-} \
    --wrap "srun --cpus-per-task=$CPUS $QUOTED"
