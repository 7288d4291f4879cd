#!/bin/sh
# Trains into a folder, or goes on with the run that it holds: what a scheduler starts again has to be one command.
#
# Command:  sh configs/cluster/train_or_resume.sh FOLDER [flags of train/main.py]
#
# All processes of a cluster decide alike: none saves before all have joined. PYTHON names another interpreter.
set -eu

folder=${1:?name the folder of the run}
shift
if [ -n "$(find "$folder" -name 'ckpt-*.index' 2>/dev/null | head -n 1)" ]; then
    set -- --resume "$@"
fi
# exec: the signal that ends a job is to reach Python, which saves.
exec "${PYTHON:-python}" train/main.py --output_dir="$folder" "$@"
