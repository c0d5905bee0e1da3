# kft on a TPU: docker build --file docker/tpu.Dockerfile --tag IMAGE . (in the root of the repository)
#
# tensorflow-tpu ends at TensorFlow 2.20 and takes the place of the package tensorflow: both fill one folder. So nothing
# here may bring tensorflow in: keras-hub would, through tensorflow-text, which kft does without.
FROM python:3.11-slim

# tf.distribute finds the chips of its own host through the plug-in device, which has to be named before TensorFlow
# loads. TPU_NAME=local says that they are there, whatever the devices of the host are called.
ENV TPU_NAME=local \
    PJRT_DEVICE=TPU \
    NEXT_PLUGGABLE_DEVICE_USE_C_API=true \
    TF_PLUGGABLE_DEVICE_LIBRARY_PATH=/usr/local/lib/python3.11/site-packages/libtpu/libtpu.so \
    KERAS_BACKEND=tensorflow \
    KFT_CACHE=/var/cache/kft \
    PYTHONUNBUFFERED=1

COPY docker/requirements-tpu.txt /tmp/
RUN pip install --no-cache-dir --requirement /tmp/requirements-tpu.txt \
 && pip install --no-cache-dir --no-deps "keras-nlp>=0.32,<0.33" "keras-hub>=0.32,<0.33"

COPY . /src
RUN pip install --no-cache-dir --no-deps /src && rm -r /src

ENTRYPOINT ["kft"]
CMD ["doctor"]
