# make -f recipes/batch.mk SOURCES="a.jpg b.png" DRIVERS="x.mp4 y.mp4" -j2
#
# Every source with every driver: OUT/a--x.mp4, OUT/a--y.mp4, OUT/b--x.mp4, OUT/b--y.mp4. A second
# run makes only what is missing, older than its files, or was made with other OPTIONS.
#
#   OUT=out                    where the results go
#   OPTIONS="--recipe painting" more options of `thvideo reenact`
#   EXT=mp4                    or mov, mkv, webm, gif
#   THVIDEO=thvideo PYTHON=python3   the programs to call
#   montage                    the target that shows all results in one grid: OUT/montage.mp4
#   clean                      remove the results, and nothing else

HERE := $(dir $(lastword $(MAKEFILE_LIST)))

include $(HERE)names.mk
$(call require_stems,SOURCES)

result = $(OUT)/$(call stem,$1)--$(call stem,$2).$(EXT)
RESULTS := $(foreach s,$(SOURCES),$(foreach d,$(DRIVERS),$(call result,$s,$d)))

.PHONY: montage
all: $(RESULTS)

define pair
$(call result,$1,$2): $1 $2 $(OUT)/.options
	$(THVIDEO) reenact --source $$(call quote,$1) --driver $$(call quote,$2) \
	  --output $$(call quote,$$@) $(OPTIONS)
endef
$(foreach s,$(SOURCES),$(foreach d,$(DRIVERS),$(eval $(call pair,$s,$d))))

montage: $(OUT)/montage.mp4
$(OUT)/montage.mp4: $(RESULTS) $(HERE)montage.py
	$(PYTHON) $(HERE)montage.py $(call quote,$@) $(foreach r,$(RESULTS),$(call quote,$r))

clean:
	rm -f $(foreach r,$(RESULTS),$(call quote,$r)) $(call quote,$(OUT)/.options)
	rm -f $(call quote,$(OUT)/montage.mp4)

$(call remember,$(OUT)/.options,$(OPTIONS))
