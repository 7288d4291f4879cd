#!/bin/sh
# Prints TF_CONFIG for one pod of a Kubernetes Indexed Job, as configs/cluster/indexed_job.yaml starts it.
#
# Command:  JOB_COMPLETION_INDEX=0 NUM_WORKERS=2 HOSTS=digits-INDEX.digits sh configs/cluster/tf_config_from_index.sh
#
# HOSTS     name of each pod, with INDEX in the place of its number
# PORT      of each pod; 2222 without it
set -eu

: "${JOB_COMPLETION_INDEX:?set by Kubernetes in a Job with completionMode: Indexed}"
: "${NUM_WORKERS:?as many as the Job has completions}"
case ${HOSTS:?the name of each pod, with INDEX for its number} in
*INDEX*) ;;
*)
    echo "HOSTS=$HOSTS has no INDEX: all pods would have one name; write such as digits-INDEX.digits" >&2
    exit 1
    ;;
esac

workers=
index=0
while [ "$index" -lt "$NUM_WORKERS" ]; do
    workers="$workers${workers:+, }\"${HOSTS%%INDEX*}$index${HOSTS#*INDEX}:${PORT:-2222}\""
    index=$((index + 1))
done
printf '{"cluster": {"worker": [%s]}, "task": {"type": "worker", "index": %d}}\n' "$workers" "$JOB_COMPLETION_INDEX"
