# make -f recipes/metatrain.mk VIDEOS=videos PERCEPTUAL=vgg19-small=vgg19_small16x.safetensors
#
# From a folder tree of videos to one file of weights: OUT/dataset, then a run at 128 pixels
# (OUT/small), one at 256 pixels with the discriminator that begins with its weights (OUT/large),
# then OUT/NAME.safetensors with its card. What is finished is not made again; a run that was
# stopped goes on.
#
#   NAME=swift                 of the weights
#   OUT=trained                where all of it goes
#   PRESET=swift               or paper
#   PERCEPTUAL=                NAME=PATH of perceptual networks, several with spaces between
#   SMALL_STEPS=20000          steps at 128 pixels
#   LARGE_STEPS=40000          steps at 256 pixels
#   OPTIONS="--device cuda"    more options of `thvideo metatrain`
#   USE="research only"        what the card says of the weights' use
#   THVIDEO=thvideo            the program to call
#   TRAIN=$(THVIDEO)           the one that trains: "torchrun --nproc-per-node 2 -m thvideo"

VIDEOS ?=
NAME ?= swift
OUT ?= trained
PRESET ?= swift
PERCEPTUAL ?=
SMALL_STEPS ?= 20000
LARGE_STEPS ?= 40000
OPTIONS ?=
USE ?= not stated
THVIDEO ?= thvideo
TRAIN ?= $(THVIDEO)

$(if $(strip $(VIDEOS)),,$(error VIDEOS is empty: give VIDEOS=folder))

DATASET := $(OUT)/dataset
WEIGHTS := $(OUT)/$(NAME).safetensors
train = $(TRAIN) metatrain --output $1 $(OPTIONS) --steps $2 \
  $$(test -f $1/last/state.json || test -f $1/last.old/state.json && echo --resume || echo $3)
fresh = --data $(DATASET) --preset $(PRESET) $(foreach p,$(PERCEPTUAL),--perceptual $p)

.PHONY: all
.DELETE_ON_ERROR:
all: $(WEIGHTS)

$(DATASET)/clips.tsv:
	$(THVIDEO) prepare $(VIDEOS) --output $(DATASET)

$(OUT)/small.done: $(DATASET)/clips.tsv
	$(call train,$(OUT)/small,$(SMALL_STEPS),$(fresh) --size 128 --adversarial-from $(SMALL_STEPS))
	touch $@

$(OUT)/large.done: $(OUT)/small.done
	$(call train,$(OUT)/large,$(LARGE_STEPS),$(fresh) --size 256 --adversarial-from 0 --init $(OUT)/small)
	touch $@

$(WEIGHTS): $(OUT)/large.done
	$(THVIDEO) weights export $(OUT)/large --output $@ --use '$(USE)'
