#!/usr/bin/env bash
# Usage: tools/dist_train.sh CONFIG NUM_PROCESSES [arguments of train.py]
# Several machines: set NNODES, NODE_RANK, MASTER_ADDR and PORT on each.
set -euo pipefail
if [[ ${2:--} == -* ]]; then
    echo "Usage: tools/dist_train.sh CONFIG NUM_PROCESSES [arguments of train.py]" >&2
    exit 1
fi
CONFIG=$1
PROCESSES=$2
NNODES=${NNODES:-1}
if [ "$NNODES" = 1 ] && [ -z "${PORT:-}" ]; then
    RENDEZVOUS=(--standalone)
else
    RENDEZVOUS=(--node_rank="${NODE_RANK:-0}"
                --master_addr="${MASTER_ADDR:-127.0.0.1}"
                --master_port="${PORT:-29500}")
fi
exec python -m torch.distributed.run \
    --nnodes="$NNODES" --nproc_per_node="$PROCESSES" "${RENDEZVOUS[@]}" \
    "$(dirname "$0")/train.py" "$CONFIG" --launcher pytorch "${@:3}"
